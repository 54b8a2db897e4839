# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Explain a file
#
# You have a video and a model that names the action in it. This tutorial shows
# **why** the model gave its answer: which part of the picture, and which seconds,
# it is based on. It uses a sample clip and `mini`, the small model that comes with
# vidcam. Nothing is downloaded.
#
# Run it in the project's folder, where `clips/` is.

# %%
import vidcam

engine = vidcam.open_engine("mini")
analysis = vidcam.explain("clips/three_actions.mp4", engine=engine)
for label, probability in analysis.top(3):
    print(f"{probability:4.0%}  {label}")

# %% [markdown]
# A person waves, squats, and raises both arms. The probabilities above are for the
# whole video, so none of them is near 100 %. The **segments** say when the model
# found evidence for each of its answers:

# %%
for segment in analysis.segments:
    print(f"{segment.start_s:4.1f} to {segment.end_s:4.1f} s  {segment.label}")

# %% [markdown]
# `mini` is small: it mistakes the way up from the squat for *standing up*. An
# explanation is about the answer of the model, right or wrong.
#
# ## See where and when
#
# A notebook shows an analysis as a player. Press play. Colour marks evidence
# **for** the answer of the model at that moment: the waving hand, then the body
# that rises, then the raised arms. Click a label below the timeline to see only its
# evidence.

# %% alt="The clip in a player, with its evidence in the picture and over time"
analysis

# %% [markdown]
# The timeline shows the evidence per second: the sum over the picture at each
# moment. `plot` draws it, and `analysis.to_dataframe()` returns it as a table.

# %% alt="One curve for each answer; each is high for a while, one after the other"
# %matplotlib inline
analysis.plot().figure

# %% [markdown]
# `heatmap` gives the heat for any second as an array of the picture's size. One
# scale holds for the whole video: 1 is the strongest evidence anywhere in it, and 0
# is none.

# %%
heat = analysis.heatmap(1.5, "waving one hand")
row, column = divmod(int(heat.argmax()), heat.shape[1])
print(f"heat {heat.shape}; {heat[row, column]:.2f} at row {row}, column {column}")

# %% [markdown]
# ## Is it exact?
#
# `mini` ends in an average over cells and one linear layer. So its logit *is* a sum
# over cells. The method `cam` shows the terms of that sum. `mini` is explained by
# `cam-spread`, which spreads each term over the region that its cell sees and keeps
# the sum. How far the sum is from the logit less its bias:

# %%
print(f"{analysis.method}: {analysis.completeness_error:.1e} of the logit")

# %% [markdown]
# An exact map need not show what the answer *depends on*. A test removes the
# hottest cells, then as many cells elsewhere, and compares how far the probability
# falls ([what the verdict means](../trust.md#the-verdict)):

# %%
waving = vidcam.Settings(classes=("waving one hand",), end_s=3.0, verdict=True)
verdict = vidcam.explain(
    "clips/three_actions.mp4", engine=engine, settings=waving
).verdict
verdict.word

# %% [markdown]
# ## Why this and not that?
#
# `versus` explains the difference between two classes. `draw` writes an explained
# video of an analysis, and returns pictures of its strongest moments. Warm colours
# speak for waving, blue for clapping:

# %% alt="The waving hand in warm colours, against clapping"
from pathlib import Path

from PIL import Image

rather = vidcam.Settings(classes=("waving one hand",), versus="clapping", end_s=3.0)
analysis = vidcam.explain("clips/three_actions.mp4", engine=engine, settings=rather)
outputs, look = vidcam.Outputs(Path("rather.mp4")), vidcam.Look(signed=True)
drawn = vidcam.draw("clips/three_actions.mp4", analysis, outputs, look=look)
Image.fromarray(drawn.moments[0].image)

# %% [markdown]
# ## Keep it
#
# On the command line, one line explains the file and writes a page that plays it,
# and all results as JSON. The page is one file that needs no server and no network.

# %% language="bash"
# vidcam annotate clips/three_actions.mp4 --model mini \
#   -o why.html --embed --json why.json

# %% [markdown]
# **Go on:** [your own model](your_own_model.md) · [how to read the
# result](../concepts.md) · [all methods on one picture](../chooser.md) · [the
# page](../page.md) · [what is in the JSON file](../json.md)
