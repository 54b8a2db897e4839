"""The loop: steps, the moving average, checkpoints, and the answers on held-out clips."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterator, Sequence
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
from vidcam.models.registry import ModelSpec
from vidcam.training import losses
from vidcam.training.config import TrainConfig
from vidcam.training.data import Batch, Clips, People
from vidcam.training.report import Answers

__all__ = ["MuonConv", "Progress", "Trainer", "one_cycle", "optimizers", "workers"]

Progress = Callable[[str, int, int | None], None]
"""Called as ``progress(stage, done, in_all)``; stages are ``"decode"`` (videos), ``"train"`` (steps) and ``"test"`` (batches)."""

KERNELS = 30.0
"""How much higher the learning rate of orthogonalised updates is than AdamW's."""


class Trainer:
    """A network that learns: the weights in training, their moving average (which is what will be kept), and where it stands."""

    def __init__(
        self,
        spec: ModelSpec,
        module: nn.Module,
        data: People | Clips,
        recipe: TrainConfig,
        device: torch.device,
        *,
        from_weights: bool,
    ) -> None:
        self.spec, self.data, self.recipe, self.device = spec, data, recipe, device
        self.remarks: list[str] = []
        self.module = module.to(device)
        for p in self.module.parameters():
            if p.ndim == 5:  # a fifth faster on CPUs
                p.data = p.data.contiguous(memory_format=torch.channels_last_3d)
        self.averaged = copy.deepcopy(self.module).eval()
        self._drawing = isinstance(data, People)
        self._frozen_norm = from_weights and not self._drawing
        if self._drawing:  # no clip comes twice, so none can be learned by heart
            for m in self.module.modules():
                if isinstance(m, nn.Dropout):
                    m.p = 0.0
        self.steps = data.epochs * data.epoch_steps
        default = 3e-3 if not from_weights else 5e-3 if recipe.trunk == "frozen" else 1e-3
        self._peak = recipe.lr or default
        self._optimizers = optimizers(self.module, lr=self._peak, weight_decay=recipe.weight_decay, kernels=not from_weights)
        self.step = 0
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Any] = {}
        self._held: list[Batch] | None = None
        self._features: list[Tensor] = []
        self._linear = spec.head.linears[0] if spec.head and len(spec.head.linears) == 1 else None
        self._explains = self._linear is not None and spec.layout == "channels-first" and len(spec.time_cells) == 1
        if self._drawing and recipe.evidence and not self._explains:
            self.remarks.append(f"{spec.name} has no closed form for its evidence, so where it lies was not trained")
        for net in (self.module, self.averaged):
            net.get_submodule(spec.layer).register_forward_hook(self._keep)
        self._precision: torch.dtype | None = None
        self._scaler = torch.amp.GradScaler("cuda", enabled=False)
        self._scaler_state: dict[str, Any] = {}

    def run(self, path: Path, fingerprint: str, progress: Progress | None, say: Callable[[str], None]) -> None:
        """Train from where the checkpoint at ``path`` stands, or from the start, to the end."""
        if path.is_file():
            self._restore(path, fingerprint)
            say(f"continuing after {self.step} of {self.steps} steps")
        self._precision = self._choose_precision()
        self._scaler = torch.amp.GradScaler("cuda", enabled=self._precision == torch.float16)
        if self._scaler_state:
            self._scaler.load_state_dict(self._scaler_state)
        total = 0.0
        for batch in self._batches():
            total += self._learn(batch)
            self.step += 1
            if progress:
                progress("train", self.step, self.steps)
            if self.step % self.data.epoch_steps == 0:
                stop = self._epoch_ends(total / self.data.epoch_steps, say)
                total = 0.0
                self._save(path, fingerprint)
                if stop:
                    break
        if self.best.get("state"):
            self.averaged.load_state_dict(self.best["state"])

    def _batches(self) -> Iterator[Batch]:
        if self.best.get("stopped"):
            return iter(())
        count = workers(self.recipe, drawing=self._drawing, device=self.device)
        loader: DataLoader[Batch] = DataLoader(
            self.data, batch_size=None, sampler=range(self.step, self.steps), num_workers=count,
            multiprocessing_context="spawn" if count else None, prefetch_factor=4 if count else None,
        )  # fmt: skip
        return iter(loader)

    def _learn(self, batch: Batch) -> float:
        """One step; returns its loss."""
        torch.manual_seed(self.recipe.seed * 10**9 + self.step)  # dropout too is a function of the step
        now = one_cycle(self.step / self.steps)
        for group in (group for o in self._optimizers for group in o.param_groups):
            group["lr"] = group["initial_lr"] * now
        self._set_mode()
        targets = batch.targets.to(self.device)
        with self._autocast():
            logits = self._forward(self.module, batch.clips)
        loss = losses.classes_loss(logits.float(), targets, smoothing=self.recipe.smoothing)
        if self._trains_evidence:
            features = self._features[-1].float()
            rows = self._rows(self.module).float()
            cells = losses.evidence_loss(features, rows, targets, batch.where.to(self.device))
            loss = loss + self.recipe.evidence * cells
        for p in self.module.parameters():
            p.grad = None
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        for o in self._optimizers:
            self._scaler.unscale_(o)
        torch.nn.utils.clip_grad_norm_([p for p in self.module.parameters() if p.requires_grad], self.recipe.clip_norm)
        for o in self._optimizers:
            self._scaler.step(o)
        self._scaler.update()
        self._average()
        return float(loss.detach())

    def _forward(self, net: nn.Module, clips: Tensor) -> Tensor:
        self._features.clear()
        x = normalise(clips.numpy(), mean=self.spec.mean, std=self.spec.std, device=self.device)
        logits: Tensor = net(x.contiguous(memory_format=torch.channels_last_3d))
        return logits

    def _keep(self, _module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            self._features.append(output)

    def _set_mode(self) -> None:
        """What learns is in training mode. From given weights batch norms keep their statistics: few clips would spoil them."""
        self.module.train(self.recipe.trunk == "all")
        if self._frozen_norm:
            for m in self.module.modules():
                if isinstance(m, nn.modules.batchnorm._BatchNorm):
                    m.eval()

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.recipe.averaging, (1 + self.step) / (10 + self.step))  # a short training forgets its start
        mine = self.module.state_dict()
        for name, value in self.averaged.state_dict().items():
            if value.is_floating_point():
                value.lerp_(mine[name], 1 - decay)
            else:
                value.copy_(mine[name])

    def _epoch_ends(self, loss: float, say: Callable[[str], None]) -> bool:
        """Test on the held-out clips, note it, keep what is best; returns whether to stop. VidcamError where it diverged."""
        epoch = self.step // self.data.epoch_steps
        row = {"epoch": float(epoch), "step": float(self.step), "loss": loss}
        with np.errstate(invalid="ignore"):  # of logits without bounds; that is told here
            found = self.test(final=False)
            if found is not None:
                row |= {"held_out_loss": found.nll, "accuracy": found.accuracy} | found.inside
        sound = all(bool(p.isfinite().all()) for p in self.averaged.parameters())
        if not sound or not all(map(math.isfinite, row.values())):
            seen = row.get("held_out_loss", loss)
            raise VidcamError(f"training diverged in epoch {epoch} (loss {seen:.3g}): use a lower --lr than {self._peak:g}")
        self.history.append(row)
        say(", ".join(f"{key.replace('_', ' ')} {value:.4g}" for key, value in row.items()))
        if self._drawing or found is None:
            return False
        if found.nll < self.best.get("loss", math.inf):
            self.best = {"loss": found.nll, "epoch": epoch, "state": copy.deepcopy(self.averaged.state_dict())}
        stop = epoch - self.best["epoch"] >= self.recipe.patience
        if stop:
            self.best["stopped"] = True
            say(f"stopped: no better held-out loss for {self.recipe.patience} epochs")
        return bool(stop)

    @torch.no_grad()
    def test(self, *, final: bool, progress: Progress | None = None) -> Answers | None:
        """The averaged network's answers on the held-out clips; None where there are none."""
        self.averaged.eval()
        logits, targets, sources, inside, pointed, frames = [], [], [], [], 0.0, 0.0
        for n, batch in enumerate(self._held_out(final=final), 1):
            given = self._forward(self.averaged, batch.clips).float()
            logits.append(given.cpu().numpy())
            targets.append(batch.targets.numpy())
            sources.append(batch.source.numpy())
            covered = batch.where == losses.ACTING
            acting = covered.flatten(1).any(1)
            if self._explains and bool(acting.any()):
                rows = self._rows(self.averaged)
                maps = losses.evidence(self._features[-1].float(), rows, batch.targets.to(self.device)).cpu()[acting]
                covered = covered[acting]
                inside.append(losses.share_inside(maps, covered).numpy())
                when = covered.flatten(2).any(2)
                hits = covered.flatten(2).gather(2, maps.flatten(2).argmax(2, keepdim=True))[..., 0]
                pointed, frames = pointed + float((hits & when).sum()), frames + float(when.sum())
            if progress:
                progress("test", n, None)
        if not logits:
            return None
        shares = {"inside": float(np.concatenate(inside).mean()), "pointing": pointed / frames} if inside else {}
        return Answers.of(
            np.concatenate(logits), np.concatenate(targets), np.concatenate(sources), labels=self.data.labels, inside=shares
        )

    @torch.no_grad()
    def settle_zero(self) -> None:
        """Let the averaged network's evidence be about zero where nothing acts, if that was trained; probabilities stay."""
        if not self._trains_evidence:
            return
        self.averaged.eval()
        rows = self._rows(self.averaged)
        zero = losses.EvidenceOffset(rows.shape[1])
        for batch in self._held_out(final=False):
            self._forward(self.averaged, batch.clips)
            zero.add(self._features[-1].float(), rows.float(), batch.targets.to(self.device), batch.where.to(self.device))
        rows += zero.row().to(rows)

    @property
    def _trains_evidence(self) -> bool:
        return bool(self.recipe.evidence) and self._drawing and self._explains

    def _rows(self, net: nn.Module) -> Tensor:
        """The weight ``(K,C)`` of the linear head, by which the evidence is read off the features."""
        rows = net.get_submodule(self._linear or "").weight
        assert isinstance(rows, Tensor)
        return rows

    def _held_out(self, *, final: bool) -> Iterator[Batch]:
        if not self._drawing or final:
            return self.data.held_out(final=final)
        self._held = self._held or list(self.data.held_out(final=False))
        return iter(self._held)

    def _autocast(self) -> Any:
        return torch.autocast(self.device.type, self._precision) if self._precision else nullcontext()

    @torch.no_grad()
    def _choose_precision(self) -> torch.dtype | None:
        """Half precision where the hardware has it and the features come out right in it; None is float32."""
        if self.recipe.precision == "float32" or self.device.type == "mps":
            return None
        if self.device.type == "cuda":
            kind = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        elif _fast_bfloat16():
            kind = torch.bfloat16
        else:
            return None
        clips = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, self.spec.frames, *self.spec.crop, 3), np.uint8))
        self._forward(self.averaged, clips)
        exact = [f.float() for f in self._features]
        try:
            with torch.autocast(self.device.type, kind):
                self._forward(self.averaged, clips)
        except RuntimeError:  # an operation without a half-precision kernel
            return None
        right = all(
            float((half.float() - full).norm()) <= 0.1 * float(full.norm())
            for half, full in zip(self._features, exact, strict=True)
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
            raise WeightsError(f"{path} cannot be read as a checkpoint ({type(err).__name__}): delete it to start anew") from err
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


class MuonConv(torch.optim.Muon):
    """Muon (Jordan et al. 2024) for convolutions: a kernel ``(out,in,t,h,w)`` is the matrix ``(out, in * t * h * w)``.

    The update is the momentum with all its singular values made alike, so that what is rare is learned as fast as what is common.
    A small network of many kinds of clips needs about a third of the steps that AdamW takes.
    """

    def __init__(self, kernels: Sequence[nn.Parameter], *, lr: float, weight_decay: float) -> None:
        self._kernels = list(kernels)
        for k in kernels:
            k.data = k.data.contiguous(memory_format=torch.channels_last_3d)  # then its matrix is a view of it
        super().__init__([nn.Parameter(_matrix(k.data)) for k in kernels], lr=lr, weight_decay=weight_decay)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move the kernels along their gradients."""
        for group in self.param_groups:
            for matrix, kernel in zip(group["params"], self._kernels, strict=True):
                matrix.grad = None if kernel.grad is None else _matrix(kernel.grad)
        super().step(closure)  # type: ignore[no-untyped-call]


def _matrix(kernel: Tensor) -> Tensor:
    """``(out, t * h * w * in)``: a view where the kernel lies in memory channels last."""
    return kernel.movedim(1, -1).flatten(1)


def optimizers(net: nn.Module, *, lr: float, weight_decay: float, kernels: bool) -> list[torch.optim.Optimizer]:
    """AdamW for what learns, without decay for vectors; with ``kernels``, Muon for the kernels of dense convolutions."""
    learning = [p for p in net.parameters() if p.requires_grad]
    dense = [p for p in learning if kernels and p.ndim == 5 and p.shape[1] > 1]
    rest = [p for p in learning if not any(p is k for k in dense)]
    out: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            [
                {"params": [p for p in rest if p.ndim > 1], "weight_decay": weight_decay},
                {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=lr,
        )
    ]
    if dense:
        out.append(MuonConv(dense, lr=KERNELS * lr, weight_decay=weight_decay))
    for group in (group for o in out for group in o.param_groups):
        group["initial_lr"] = group["lr"]
    return out


def one_cycle(done: float) -> float:
    """The learning rate, as a share of its highest, at the share ``done`` of the training: up in 15 %, then a cosine to 0."""
    warm = 0.15
    if done < warm:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * done / warm)) / 2
    return 1e-4 + (1 - 1e-4) * (1 + math.cos(math.pi * (done - warm) / (1 - warm))) / 2


def _fast_bfloat16() -> bool:
    """Has this CPU bfloat16 arithmetic? Without it, half precision is far slower than float32."""
    has = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


def workers(recipe: TrainConfig, *, drawing: bool, device: torch.device) -> int:
    """How many processes prepare the clips."""
    if recipe.workers is not None:
        return recipe.workers
    cores = os.cpu_count() or 1
    if device.type == "cpu":  # drawing takes about as long as learning; cutting windows takes no time
        return max(1, cores // 2) if drawing else 0
    return max(1, cores - 1)
