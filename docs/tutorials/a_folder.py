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
# This tutorial explains a whole folder with one command: five videos here,
# thousands in the same way. You can stop it at any time and continue where it
# stopped. If a video cannot be read, vidcam goes on with the others.
#
# These are the sample clips, to which we add a broken file:

# %% language="bash"
# ls clips
# head -c 2000 clips/walking.mp4 > clips/broken.mp4 # a download that was cut off

# %% [markdown]
# The command ends with exit code 1, because one video failed, and says which file
# has the reason:

# %% language="bash"
# vidcam annotate clips/ --out-dir explained --model mini \
#   --json "explained/{name}.json" 2> messages.txt || echo "exit code $?"
# tail -n 2 messages.txt

# %% [markdown]
# ## The results
#
# The folder has an explained video and a JSON file for each video that was
# explained, and two tables: `results.csv` and `failed.csv`.

# %% language="bash"
# ls explained
# cut -d, -f1-3 explained/failed.csv

# %%
import pandas

results = pandas.read_csv("explained/results.csv")
results[["name", "label_1", "prob_1", "label_2", "prob_2", "duration_s"]].round(2)

# %% [markdown]
# `mini` gave the right answer to every clip that shows one action, and its first
# answer to `three_actions` is one of the three. The JSON files say when the model
# found evidence for which action:

# %%
import json

three = json.load(open("explained/three_actions.json"))
pandas.DataFrame(three["segments"]).round(2)

# %% [markdown]
# ## Stop and continue
#
# Give the same command again, and it does what is left. Here only the broken file
# is left, which vidcam tries again only with `--retry-failed`. We replace the file
# and do that:

# %% language="bash"
# cp clips/walking.mp4 clips/broken.mp4
# vidcam annotate clips/ --out-dir explained --model mini \
#   --json "explained/{name}.json" --retry-failed 2> messages.txt
# tail -n 1 messages.txt

# %% [markdown]
# vidcam did not explain the other five again. If you give the command with another
# model or another option, vidcam refuses to mix two kinds of results in one folder,
# and says what differs.
#
# **Go on:** [several processes, many machines, the files of a run](../batches.md) ·
# [the JSON file](../json.md) · [is a model right for the right
# reasons?](teach_your_actions.md)
