"""Run by a Python that has verl: the settings composed, checked and typed by verl itself."""

from __future__ import annotations

import sys
from pathlib import Path

import hydra
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import omega_conf_to_dataclass, validate_config

FOLDER = Path(sys.argv[1])
PATHS = ["data.train_files=a", "data.val_files=a", "actor_rollout_ref.model.path=m"]
TYPED = ["actor_rollout_ref.rollout", "actor_rollout_ref.actor", "algorithm"]

with initialize_config_dir(config_dir=str(FOLDER), version_base=None):
    config = compose("grpo", overrides=PATHS)
OmegaConf.resolve(config)
validate_config(config, need_reference_policy(config), need_critic(config))
for place in TYPED:
    print(place, type(omega_conf_to_dataclass(OmegaConf.select(config, place))).__name__)

(loop,) = OmegaConf.load(FOLDER / config.actor_rollout_ref.rollout.agent.agent_loop_config_path)
assert loop.name == config.actor_rollout_ref.rollout.agent.default_agent_loop
sys.path.insert(0, str(FOLDER))
kind = hydra.utils.get_class(loop._target_)
accepted = kind.__init__.__kwdefaults__
assert set(loop) - {"name", "_target_"} == set(accepted), (loop, accepted)
print("loop", kind.__name__)
