"""One training, from accepted studies to a released model, or to the reason why not.

Each stage goes on where a kill has left it: the run's folder keeps the studies, and simulation,
trainers and evaluation have files of their own. The model in use changes at the very end, by the
replacement of one small file.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monailabel.interfaces.datastore import Datastore

from ibisagent.agent import load_agent
from ibisagent.errors import IBISAgentError, OutputNotWritable
from ibisagent.evaluation import EvaluationSettings, evaluate
from ibisagent.evaluation_report import write_report
from ibisagent.machine import machine_facts
from ibisagent.policies.policy_spec import PolicySpec
from ibisagent_app.configuration import public_name
from ibisagent_app.training.desk import Plan, TrainingDesk
from ibisagent_app.training.device_turns import DeviceTurns
from ibisagent_app.training.options import STAGES, TrainingOptions
from ibisagent_app.training.progress import Reporter
from ibisagent_app.training.room import GIB, weights_size
from ibisagent_app.training.run_folder import TrainingFolder, forget_plan, open_folder
from ibistrain.comparison import Comparison, compare
from ibistrain.simulation.settings import SimulationSettings

CURVES = (
    "loss", "reward", "learning_rate", "entropy", "kl", "mean_token_accuracy",
    "episode/iou", "episode/turns", "episode/good_stop",
)  # fmt: skip
"""What of a trainer's figures is passed on."""

RL_STATES = 4
"""States a step of reinforcement learning; of each, several actions are tried."""


class Stopped(Exception):
    """Somebody wants the training to stop."""


def train(
    desk: TrainingDesk, task: str, request: Mapping[str, Any], datastore: Datastore
) -> dict[str, Any]:
    """Train, judge, and release the model if it is better.

    Args:
        desk: Of the app.
        task: Name of the trainer.
        request: Its options.
        datastore: The studies.

    Returns:
        The final status.

    Raises:
        IBISAgentError: It may not begin, or it failed; the model in use stays as it was.
    """
    lock = desk.lock()
    try:
        plan = desk.plan(task, request, datastore)
        stages = ("studies", "simulate", "before", *STAGES[task], "after")
        reporter = Reporter(desk.workplace, task, stages)
        try:
            _Training(plan, desk, reporter).run()
        except Stopped:
            reporter.end("stopped", _STOPPED)
        except OutputNotWritable as error:
            reporter.end("failed", str(error))
            raise
        except IBISAgentError as error:
            forget_plan(desk.workplace)
            reporter.end("failed", str(error))
            raise
        except Exception as error:
            reporter.end("failed", _FAILED.format(type(error).__name__))
            raise
        return reporter.status.model_dump(mode="json")
    finally:
        desk.workplace.forget_stop()
        lock.release()


_FAILED = (
    "The training failed unexpectedly ({}); the server's log has the details. Starting the same "
    "training again continues it; with other options it begins anew."
)
_STOPPED = (
    "Somebody stopped the training. What is done is kept, the model in use is the old one; "
    "starting the same training again continues it."
)


@dataclass(frozen=True, eq=False)
class _Training:
    """The stages of one training."""

    plan: Plan
    desk: TrainingDesk
    reporter: Reporter

    def run(self) -> None:
        self.reporter.begin("studies")
        folder = open_folder(self.plan, self.desk.workplace, self.desk.configuration)
        if not folder.resumed:
            self.reporter.forget_curve()
        with self._turns.training():
            episodes = self._simulate(folder)
            self._evaluate(folder, "before", self.plan.start, str(folder.prompts))
            model = Path(self.plan.start)
            for stage in STAGES[self.plan.task]:
                model = self._learn(stage, str(model), folder, episodes)
            self._evaluate(folder, "after", str(model), "")
        comparison = compare(folder.path / "before", folder.path / "after")
        self._decide(folder, model, episodes, comparison)

    @property
    def _options(self) -> PolicySpec:
        return PolicySpec.parse(self.desk.configuration.policy)

    @property
    def _turns(self) -> DeviceTurns:
        return self.desk.turns

    def _stop_wanted(self) -> bool:
        """Read between steps: others have their turn on the device, or the end comes."""
        self._turns.give_way()
        return self.desk.workplace.stop_wanted

    def _tick(self, done: int, total: int) -> None:
        self.reporter.step(done, total)
        if self._stop_wanted():
            raise Stopped

    def _log(self, figures: Mapping[str, float]) -> None:
        shown = {name: figures[name] for name in CURVES if name in figures}
        self.reporter.step(int(figures["step"]), int(figures["total_steps"]), shown)

    def _simulate(self, folder: TrainingFolder) -> Path:
        """Episodes of the learnt side; returns their folder."""
        from ibistrain.simulation.run import simulate

        self.reporter.begin("simulate")
        configuration = self.desk.configuration
        settings = simulation_settings(
            self.plan.options, configuration.tool, configuration.device, folder.prompts
        )
        out = folder.path / "episodes"
        report = simulate(
            folder.data,
            out,
            settings,
            on_progress=self.reporter.step,
            should_stop=self._stop_wanted,
        )
        if not report.finished:
            raise Stopped
        return out

    def _evaluate(self, folder: TrainingFolder, stage: str, policy: str, prompts: str) -> None:
        """Ask a model about the held-back studies."""
        self.reporter.begin(stage)
        configuration, options = self.desk.configuration, self.plan.options
        settings = EvaluationSettings(
            limit=options.max_questions, seed=options.seed, max_steps=configuration.max_steps
        )
        # As it would answer: how large pictures and weights may be is up to the machine.
        policy = self._options.at(PolicySpec.parse(policy).where)
        agent = load_agent(policy, configuration.tool, configuration.device, prompts)
        out = folder.path / stage
        evaluation, rows = evaluate([folder.manifest], settings, agent, out, self._tick)
        report = write_report(evaluation, rows, f"trainer {self.plan.task}", machine_facts())
        if report.mean is not None:
            names = {"dice": "dice", "hit": "hit", "turns": "turns", "stops": "stopped"}
            figures = {name: getattr(report.mean, field) for name, field in names.items()}
            self.reporter.figures(**{stage: figures})
        del agent
        _free_device()

    def _learn(self, stage: str, model: str, folder: TrainingFolder, episodes: Path) -> Path:
        """Fine-tune, or reinforce; returns the checkpoint."""
        self.reporter.begin(stage)
        learn = self._reinforce if stage == "rl" else self._fine_tune
        result = learn(model, folder, episodes)
        _free_device()
        if self._stop_wanted():
            raise Stopped
        return result

    def _fine_tune(self, model: str, folder: TrainingFolder, episodes: Path) -> Path:
        from ibistrain.sft import sft  # the engines load slowly
        from ibistrain.sft_config import SftConfig

        options = self.plan.options
        config = SftConfig(
            model=model,
            out=folder.path / "sft",
            episodes=episodes,
            data=folder.data,
            prompts=str(folder.prompts),
            steps=options.max_steps,
            batch=options.batch_size,
            learning_rate=options.learning_rate,
            log_every=max(1, options.max_steps // 200),
            save_every=max(5, options.max_steps // 10),
            seed=options.seed,
            **self._common(model),
        )
        return sft(config, self._log, self._stop_wanted)

    def _reinforce(self, model: str, folder: TrainingFolder, episodes: Path) -> Path:
        from ibistrain.rl import rl
        from ibistrain.rl_config import RlConfig

        options = self.plan.options
        config = RlConfig(
            model=model,
            out=folder.path / "rl",
            data=folder.data,
            episodes=episodes,
            tool=self.desk.configuration.tool,
            prompts=str(folder.prompts),
            steps=options.rl_steps,
            states=RL_STATES,
            learning_rate=options.rl_learning_rate,
            log_every=1,
            save_every=max(2, options.rl_steps // 10),
            seed=options.seed,
            **self._common(model),
        )
        return rl(config, self._log, self._stop_wanted)

    def _common(self, model: str) -> dict[str, Any]:
        """What both trainers are told of device and weights."""
        from ibistrain.adapters import LoraSettings

        rank = self.plan.options.lora_rank
        folder = Path(PolicySpec.parse(model).where)
        large = folder.is_dir() and weights_size(folder) > GIB
        return {
            "lora": LoraSettings(rank=rank, alpha=2 * rank) if rank else None,
            "max_pixels": self._options.max_pixels,
            "bf16": self._turns.shared,
            "gradient_checkpointing": large,
            "at_once": 1 if large else 0,
            "trl": {"disable_tqdm": True},  # its bar would be lines without end in the log
        }

    def _decide(
        self, folder: TrainingFolder, model: Path, episodes: Path, comparison: Comparison
    ) -> None:
        """Release the model if it is better, and say why or why not."""
        changes = {"dice": comparison.dice, "hit": comparison.hit, "turns": comparison.turns}
        changes |= {"stops": comparison.stops, "absent": comparison.absent}
        found = {name: change for name, change in changes.items() if change is not None}
        self.reporter.figures(
            before={name: change.before.mean for name, change in found.items()},
            after={name: change.after.mean for name, change in found.items()},
            difference={name: change.difference.model_dump() for name, change in found.items()},
        )
        objections = comparison.objections()
        gain = comparison.dice.difference
        if objections:
            reason = " ".join(["Not released.", *objections])
        else:
            version = self._release(folder, model, episodes, comparison)
            reason = (
                f"Released as version {version}: mean Dice on held-back studies rose by {gain}."
            )
        self.desk.workplace.keep_results()
        self.reporter.end("done", reason, released=not objections)

    def _release(
        self, folder: TrainingFolder, model: Path, episodes: Path, comparison: Comparison
    ) -> str:
        from ibistrain.episode_record import read_episodes
        from ibistrain.release_card import data_notes, release_card

        task, options = self.plan.task, self.plan.options
        card = release_card(
            title="A model trained on accepted studies",
            start=public_name(self.plan.start),
            data=data_notes(read_episodes(episodes), folder.data),
            comparison=comparison,
            recipe={"trainer": task, **options.model_dump()},
        )
        figures = {"task": task, "comparison": comparison.model_dump(mode="json")}
        return self.desk.releases.release(model, card, figures).name


def simulation_settings(
    options: TrainingOptions, tool: str, device: str, prompts: Path
) -> SimulationSettings:
    """What is simulated of the set in the data's root."""
    return SimulationSettings(
        sets=(".",),
        per_label=options.episodes,
        episodes=options.episodes,
        repeats=options.episodes,
        stop_iou=options.stop_iou,
        tool=tool,
        device=device,
        profile=str(prompts),
        seed=options.seed,
    )


def _free_device() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
