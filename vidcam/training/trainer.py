"""The training loop: steps, the moving average of the weights, checkpoints, and tests."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from vidcam.engine.pytorch import normalise
from vidcam.errors import UsageError, VidcamError, WeightsError
from vidcam.io.files import atomic_write
from vidcam.metrics import localisation
from vidcam.models.spec import ModelSpec
from vidcam.training import losses
from vidcam.training.config import TrainConfig
from vidcam.training.data import Batch, SyntheticDataset, VideoDataset
from vidcam.training.optimizers import make_optimizers, one_cycle
from vidcam.training.report import Answers

__all__ = ["Progress", "Trainer", "count_workers"]

Progress = Callable[[str, int, int | None], None]
"""Called as ``progress(stage, done, total)``; stages are ``"decode"`` (videos), ``"train"`` (steps) and ``"test"`` (batches)."""


class Trainer:
    """A network in training, and the moving average of its weights, which becomes the result."""

    def __init__(
        self,
        spec: ModelSpec,
        module: nn.Module,
        data: SyntheticDataset | VideoDataset,
        config: TrainConfig,
        device: torch.device,
        *,
        from_weights: bool,
    ) -> None:
        self.spec, self.data, self.config, self.device = spec, data, config, device
        self.remarks: list[str] = []
        self.module = module.to(device)
        for p in self.module.parameters():
            if p.ndim == 5:  # a fifth faster on CPUs
                p.data = p.data.contiguous(memory_format=torch.channels_last_3d)
        self.averaged = copy.deepcopy(self.module).eval()
        self._synthetic = isinstance(data, SyntheticDataset)
        self._frozen_norm = from_weights and not self._synthetic
        if self._synthetic:  # no clip comes twice, so none can be memorised
            for m in self.module.modules():
                if isinstance(m, nn.Dropout):
                    m.p = 0.0
        self.steps = data.epochs * data.epoch_steps
        default = 3e-3 if not from_weights else 5e-3 if config.freeze_backbone else 1e-3
        self._peak_lr = config.lr or default
        self._optimizers = make_optimizers(
            self.module, lr=self._peak_lr, weight_decay=config.weight_decay, muon=self._synthetic or not from_weights
        )
        self.step = 0
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Any] = {}
        self._held: list[Batch] | None = None
        self._activations: list[Tensor] = []
        self._linear = spec.head.classifiers[0] if spec.head and len(spec.head.classifiers) == 1 else None
        self._explains = self._linear is not None and spec.layout == "channels-first" and len(spec.time_cells) == 1
        if self._synthetic and config.evidence and not self._explains:
            self.remarks.append(f"the evidence of {spec.name} has no closed form, so where it lies was not trained")
        for net in (self.module, self.averaged):
            net.get_submodule(spec.target_layer).register_forward_hook(self._keep_activations)
        self._precision: torch.dtype | None = None
        self._scaler = torch.amp.GradScaler("cuda", enabled=False)
        self._scaler_state: dict[str, Any] = {}

    def run(self, path: Path, fingerprint: str, progress: Progress | None, say: Callable[[str], None]) -> None:
        """Train to the end, from the checkpoint at ``path`` if there is one, else from the start."""
        if path.is_file():
            self._restore(path, fingerprint)
            say(f"continuing after {self.step} of {self.steps} steps")
        self._precision = self._choose_precision()
        self._scaler = torch.amp.GradScaler("cuda", enabled=self._precision == torch.float16)
        if self._scaler_state:
            self._scaler.load_state_dict(self._scaler_state)
        total = 0.0
        for batch in self._batches():
            total += self._train_step(batch)
            self.step += 1
            if progress:
                progress("train", self.step, self.steps)
            if self.step % self.data.epoch_steps == 0:
                stop = self._end_epoch(total / self.data.epoch_steps, say)
                total = 0.0
                self._save(path, fingerprint)
                if stop:
                    break
        if self.best.get("state"):
            self.averaged.load_state_dict(self.best["state"])

    def _batches(self) -> Iterator[Batch]:
        if self.best.get("stopped"):
            return iter(())
        count = count_workers(self.config, synthetic=self._synthetic, device=self.device)
        loader: DataLoader[Batch] = DataLoader(
            self.data, batch_size=None, sampler=range(self.step, self.steps), num_workers=count,
            multiprocessing_context="spawn" if count else None, prefetch_factor=4 if count else None,
        )  # fmt: skip
        return iter(loader)

    def _train_step(self, batch: Batch) -> float:
        """Take one step; return its loss."""
        torch.manual_seed(self.config.seed * 10**9 + self.step)  # so that dropout is a function of the step too
        factor = one_cycle(self.step / self.steps)
        for group in (group for o in self._optimizers for group in o.param_groups):
            group["lr"] = group["initial_lr"] * factor
        self._set_mode()
        targets = batch.targets.to(self.device)
        with self._autocast():
            logits = self._forward(self.module, batch.clips)
        loss = losses.classes_loss(logits.float(), targets, smoothing=self.config.smoothing)
        if self._trains_evidence:
            activations = self._activations[-1].float()
            rows = self._head_weight(self.module).float()
            loss = loss + self.config.evidence * losses.evidence_loss(activations, rows, targets, batch.cells.to(self.device))
        for p in self.module.parameters():
            p.grad = None
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        for o in self._optimizers:
            self._scaler.unscale_(o)
        torch.nn.utils.clip_grad_norm_([p for p in self.module.parameters() if p.requires_grad], self.config.clip_norm)
        for o in self._optimizers:
            self._scaler.step(o)
        self._scaler.update()
        self._average()
        return float(loss.detach())

    def _forward(self, net: nn.Module, clips: Tensor) -> Tensor:
        self._activations.clear()
        x = normalise(clips.numpy(), mean=self.spec.mean, std=self.spec.std, device=self.device)
        logits: Tensor = net(x.contiguous(memory_format=torch.channels_last_3d))
        return logits

    def _keep_activations(self, _module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            self._activations.append(output)

    def _set_mode(self) -> None:
        """Set the training mode; batch norms of given weights keep their statistics: few clips spoil them."""
        self.module.train(not self.config.freeze_backbone)
        if self._frozen_norm:
            for m in self.module.modules():
                if isinstance(m, nn.modules.batchnorm._BatchNorm):
                    m.eval()

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))  # a short training forgets its start
        state = self.module.state_dict()
        for name, value in self.averaged.state_dict().items():
            if value.is_floating_point():
                value.lerp_(state[name], 1 - decay)
            else:
                value.copy_(state[name])

    def _end_epoch(self, loss: float, say: Callable[[str], None]) -> bool:
        """Test on the held-out clips and keep the best weights; return whether to stop.

        Raises VidcamError if the training diverged.
        """
        epoch = self.step // self.data.epoch_steps
        row = {"epoch": float(epoch), "step": float(self.step), "loss": loss}
        with np.errstate(invalid="ignore"):  # of infinite logits, which are reported below
            answers = self.test(final=False)
            if answers is not None:
                row |= {"held_out_loss": answers.nll, "accuracy": answers.accuracy} | answers.inside
        finite = all(bool(p.isfinite().all()) for p in self.averaged.parameters())
        if not finite or not all(map(math.isfinite, row.values())):
            last = row.get("held_out_loss", loss)
            raise VidcamError(f"training diverged in epoch {epoch} (loss {last:.3g}): use a lower --lr than {self._peak_lr:g}")
        self.history.append(row)
        figures = (f"{key.replace('_', ' ')} {value:.4g}" for key, value in row.items() if key != "epoch")
        say(", ".join([f"epoch {epoch} of {self.data.epochs}", *figures]))
        if self._synthetic or answers is None:
            return False
        if answers.nll < self.best.get("loss", math.inf):
            self.best = {"loss": answers.nll, "epoch": epoch, "state": copy.deepcopy(self.averaged.state_dict())}
        stop = epoch - self.best["epoch"] >= self.config.patience
        if stop:
            self.best["stopped"] = True
            say(f"stopped: no better held-out loss for {self.config.patience} epochs")
        return bool(stop)

    @torch.no_grad()
    def test(self, *, final: bool, progress: Progress | None = None) -> Answers | None:
        """Return the averaged network's answers on the held-out clips; None if there are none."""
        self.averaged.eval()
        logits, targets, sources, places = [], [], [], []
        for n, batch in enumerate(self._held_out(final=final), 1):
            logits.append(self._forward(self.averaged, batch.clips).float().cpu().numpy())
            targets.append(batch.targets.numpy())
            sources.append(batch.source.numpy())
            if self._explains:
                places += self._localise(batch)
            if progress:
                progress("test", n, None)
        if not logits:
            return None
        shares = dict(zip(("inside", "pointing"), np.mean(places, axis=0).tolist(), strict=True)) if places else {}
        return Answers.of(
            np.concatenate(logits), np.concatenate(targets), np.concatenate(sources), labels=self.data.labels, inside=shares
        )

    def _localise(self, batch: Batch) -> list[tuple[float, float]]:
        """Return (evidence inside, pointing score) of each clip just computed in which something acts."""
        covered = (batch.cells == losses.ACTING).numpy()
        acting = covered.reshape(len(covered), -1).any(1)
        if not acting.any():
            return []
        rows = self._head_weight(self.averaged)
        maps = losses.evidence(self._activations[-1].float(), rows, batch.targets.to(self.device)).cpu().numpy()
        if not np.isfinite(maps).all():  # the training diverged
            return [(math.nan, math.nan)]
        clips = zip(maps[acting], covered[acting], strict=True)
        scores = [localisation.score_map(values, cells, threshold=0.5) for values, cells in clips]
        return [(s.relevance_mass, s.pointing) for s in scores]

    @torch.no_grad()
    def settle_zero(self) -> None:
        """Shift the averaged network's evidence to about zero where nothing acts, if evidence was trained.

        The probabilities do not change.
        """
        if not self._trains_evidence:
            return
        self.averaged.eval()
        rows = self._head_weight(self.averaged)
        offset = losses.EvidenceOffset(rows.shape[1])
        for batch in self._held_out(final=False):
            self._forward(self.averaged, batch.clips)
            offset.add(self._activations[-1].float(), rows.float(), batch.targets.to(self.device), batch.cells.to(self.device))
        rows += offset.row().to(rows)

    @property
    def _trains_evidence(self) -> bool:
        return bool(self.config.evidence) and self._synthetic and self._explains

    def _head_weight(self, net: nn.Module) -> Tensor:
        """Return the weight ``(K,C)`` of the linear head, by which the evidence is read off the activations."""
        weight = net.get_submodule(self._linear or "").weight
        assert isinstance(weight, Tensor)
        return weight

    def _held_out(self, *, final: bool) -> Iterator[Batch]:
        """Yield the held-out batches; synthetic ones that every epoch needs are drawn once."""
        if not self._synthetic or final:
            return self.data.held_out(final=final)
        self._held = self._held or list(self.data.held_out(final=False))
        return iter(self._held)

    def _autocast(self) -> Any:
        return torch.autocast(self.device.type, self._precision) if self._precision else nullcontext()

    @torch.no_grad()
    def _choose_precision(self) -> torch.dtype | None:
        """Return the half precision to train in; None is float32.

        It is used if the hardware has it and the activations come out right.
        """
        if self.config.precision == "float32" or self.device.type == "mps":
            return None
        if self.device.type == "cuda":
            kind = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        elif _has_fast_bfloat16():
            kind = torch.bfloat16
        else:
            return None
        clips = torch.from_numpy(
            np.random.default_rng(0).integers(0, 256, (1, self.spec.num_frames, *self.spec.crop, 3), np.uint8)
        )
        self._forward(self.averaged, clips)
        exact = [f.float() for f in self._activations]
        try:
            with torch.autocast(self.device.type, kind):
                self._forward(self.averaged, clips)
        except RuntimeError:  # an operation without a half-precision kernel
            return None
        right = all(
            float((half.float() - full).norm()) <= 0.1 * float(full.norm())
            for half, full in zip(self._activations, exact, strict=True)
        )
        return kind if right and exact else None

    def _save(self, path: Path, fingerprint: str) -> None:
        state = {
            "fingerprint": fingerprint, "step": self.step, "history": self.history, "best": self.best,
            "module": self.module.state_dict(), "averaged": self.averaged.state_dict(),
            "optimizers": [o.state_dict() for o in self._optimizers], "scaler": self._scaler.state_dict(),
        }  # fmt: skip
        with atomic_write(path, overwrite=True) as part:
            torch.save(state, part)

    def _restore(self, path: Path, fingerprint: str) -> None:
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
        except Exception as err:
            raise WeightsError(f"{path} cannot be read as a checkpoint ({type(err).__name__}): delete it to start again") from err
        if state["fingerprint"] != fingerprint:
            raise UsageError(
                f"{path.parent} holds an unfinished training with other options or data: repeat the same command to continue it, "
                "delete the folder, or name another one"
            )
        self.module.load_state_dict(state["module"])
        self.averaged.load_state_dict(state["averaged"])
        for o, values in zip(self._optimizers, state["optimizers"], strict=True):
            o.load_state_dict(values)
        self.step, self.history, self.best = state["step"], state["history"], state["best"]
        self._scaler_state = state["scaler"]


def _has_fast_bfloat16() -> bool:
    """Return whether this CPU has bfloat16 arithmetic; else half precision is far slower than float32."""
    has = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


def count_workers(config: TrainConfig, *, synthetic: bool, device: torch.device) -> int:
    """Return how many processes prepare the clips."""
    if config.workers is not None:
        return config.workers
    cores = os.cpu_count() or 1
    if device.type == "cpu":  # drawing takes about as long as a training step; cutting clips takes hardly any time
        return max(1, cores // 2) if synthetic else 0
    return max(1, cores - 1)
