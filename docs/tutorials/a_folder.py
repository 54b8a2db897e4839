# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A folder of videos
#
# One command explains a whole folder: five videos here, thousands in the same way.
# It can be stopped at any time and goes on where it stopped. A video that cannot be
# read does not stop the others.

# %% language="bash"
# ls clips
# head -c 2000 clips/walking.mp4 > clips/broken.mp4 # a download that was cut off

# %% [markdown]
# The command ends with exit code 1, because one video failed, and says where to
# read about it:

# %% language="bash"
# vidcam annotate clips/ --out-dir explained --model mini \
#   --json "explained/{name}.json" 2> messages.txt || echo "exit code $?"
# tail -n 2 messages.txt

# %% [markdown]
# ## The results
#
# The folder has an explained video and a JSON file for each input, and two tables.

# %% language="bash"
# ls explained
# cut -d, -f1-3 explained/failed.csv

# %%
import pandas

results = pandas.read_csv("explained/results.csv")
results[["name", "label_1", "prob_1", "label_2", "prob_2", "duration_s"]].round(2)

# %% [markdown]
# `mini` gave the right answer to every clip of one action, and its first answer to
# `three_actions` is one of the three. The JSON files say when the model saw what:

# %%
import json

three = json.load(open("explained/three_actions.json"))
pandas.DataFrame(three["segments"]).round(2)

# %% [markdown]
# ## Stop and go on
#
# Give the same command again, and it does what is left. Here nothing is left but
# the broken file, which is tried again only if you ask for it. We replace it and do
# that:

# %% language="bash"
# cp clips/walking.mp4 clips/broken.mp4
# vidcam annotate clips/ --out-dir explained --model mini \
#   --json "explained/{name}.json" --retry-failed 2> messages.txt
# tail -n 1 messages.txt

# %% [markdown]
# The other five were not touched. If you give the command with another model or
# another option, vidcam refuses to mix two kinds of results in one folder and says
# what differs.
#
# **Go on:** [processes, many machines, what is in the folder](../batches.md) · [the
# JSON file](../json.md) · [is a model right for the right
# reasons?](teach_your_actions.md)
