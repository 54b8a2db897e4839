# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Live monitoring
#
# `vidcam live` explains a camera while it runs. With rules, it is a monitor: it
# recognises an action, records when and where it happened, keeps the video around
# it, and starts your own program. This tutorial watches a file, so that the result
# is always the same. For a camera, write `0` or `rtsp://...` instead of the file,
# and leave `--fast` out.
#
# ## A rule
#
# The rule below holds if the model is more than 80 % sure, for at least a fifth of
# a second, that somebody falls.

# %% language="bash"
# vidcam live clips/falling.mp4 --model mini --headless --fast \
#   --on "falling down > 0.8 for 0.2s" --events falls.jsonl --clips falls \
#   --run 'sh -c "echo $VIDCAM_ACTION at $VIDCAM_START >> alarm.txt"'

# %% [markdown]
# ## What happened
#
# Each event has a line for its start and one for its end. This is the end:

# %%
import json
from pathlib import Path

events = [json.loads(line) for line in Path("falls.jsonl").read_text().splitlines()]
print(json.dumps(events[-1], indent=2))

# %% [markdown]
# The person falls from 1.56 to 2.32 s: that is known, because this clip was drawn
# by a program. `start_s` and `end_s` come from the evidence and say when the
# *action* took place. The rule held later, because the model answers only when a
# whole clip has arrived. `box` is around the strongest evidence, in pixels, and the
# snapshot shows that moment:

# %% alt="The person in mid-fall, with heat on the body"
from PIL import Image

Image.open(events[-1]["snapshot"])

# %% [markdown]
# `--run` started the program once, with the event in its environment; `--clips`
# kept the video around the event:

# %% language="bash"
# cat alarm.txt
# ls falls

# %% [markdown]
# ## Watch it yourself
#
# Without `--headless`, the command serves a page with the picture, the heat and the
# last minute:
#
# ```sh
# vidcam live clips/three_actions.mp4 --model mini --loop  # a file as a camera
# vidcam live --browser  # the camera of the browser that opens the page
# ```
#
# ![The page: a person raises both arms, with heat on them](../images/live.png)
#
# **Go on:** [rules, actions, metrics, who can see the camera](../live.md) · [teach
# it your own actions](teach_your_actions.md)
