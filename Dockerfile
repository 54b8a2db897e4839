# vidcam with the app, live cameras and folders of videos. docs/containers.md has the commands.
#
#   docker build -t vidcam .                                       for NVIDIA GPUs (docker run --gpus all) and CPUs
#   docker build -t vidcam:cpu --build-arg TORCH_INDEX=ADDRESS .   for CPUs only, 4 GB smaller: the index of PyTorch's CPU builds
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS wheel
WORKDIR /src
COPY pyproject.toml README.md ./
COPY clips clips
COPY vidcam vidcam
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:${PYTHON}-slim
# What OpenCV needs.
RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 && rm -rf /var/lib/apt/lists/*
# torch and torchvision come from one place, in one command, and before the rest, which changes more often.
ARG TORCH_INDEX=
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "torch>=2.9,!=2.13.*" "torchvision>=0.24,!=0.28.*"
ARG EXTRAS=app,parquet
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir "$(ls /wheels/*.whl)[$EXTRAS]"
# Any user may run it (docker run --user), and weights outlive the container if /cache is a volume.
RUN mkdir -p /cache /data && chmod 1777 /cache /data
ENV VIDCAM_CACHE=/cache HOME=/cache NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
VOLUME /cache
WORKDIR /data
USER 1000
EXPOSE 7860 7870
ENTRYPOINT ["vidcam"]
CMD ["app", "--host", "0.0.0.0"]
