"""The tasks that a configuration names."""

from __future__ import annotations

from ibisagent.subjects import is_held_back
from ibistrain.catalogue import SetEntry, load_catalogue
from ibistrain.corpus import load_corpus
from ibistrain.episode_record import read_episodes
from ibistrain.random_truths import RandomTruths
from ibistrain.rl_config import RlConfig
from ibistrain.tasks import EpisodeTasks, PictureTasks, TaskSource


def load_tasks(config: RlConfig) -> TaskSource:
    """Tasks of the training side: beginnings of simulated episodes, or labelled pictures.

    With `RlConfig.random_truths` they are judged by truths that cannot be seen.

    Raises:
        InvalidTrajectory: The episodes cannot be read.
        InvalidManifest: A labelled set cannot be read.
        InvalidRequest: Nothing is left to ask for.
    """
    tasks = _true_tasks(config)
    return RandomTruths(tasks, config.seed) if config.random_truths else tasks


def _true_tasks(config: RlConfig) -> TaskSource:
    if config.episodes is not None:
        episodes = read_episodes(config.episodes)
        mine = (e for e in episodes if not is_held_back(e.set_name, e.subject))
        return EpisodeTasks(mine, config.data)
    catalogue = load_catalogue()
    others = {name: SetEntry() for name in config.sets if name not in catalogue.sets}
    catalogue = catalogue.model_copy(update={"sets": {**catalogue.sets, **others}})
    pictures = load_corpus(config.data, catalogue, sets=config.sets)
    weights = {name: entry.weight for name, entry in catalogue.sets.items()}
    return PictureTasks(pictures, catalogue.synonyms, config.absent, weights)
