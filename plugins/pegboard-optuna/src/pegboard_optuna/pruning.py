"""When a trial is hopeless."""

from __future__ import annotations

from statistics import median

from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState


class FoldPruner(BasePruner):
    """Give a trial up whose mean over its first folds is worse than the median of the others over the same folds.

    Optuna's ``MedianPruner`` takes a trial's best step so far. That is right for a loss that falls from epoch to epoch.
    A step here is a fold, some folds are easier than others, and a trial that began with an easy one would never be
    given up.

    The first ``trials`` finished trials are not pruned, and none before its fold ``folds``: one fold is luck.
    """

    def __init__(self, trials: int = 5, folds: int = 2) -> None:
        self._trials, self._folds = trials, folds

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to give up; a trial's step is the number of its last fold, from 0, its value the mean so far."""
        step = trial.last_step
        if step is None or step + 1 < self._folds:
            return False
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(finished) < self._trials:
            return False
        usual, own = median(t.intermediate_values[step] for t in finished), trial.intermediate_values[step]
        return own < usual if study.direction == StudyDirection.MAXIMIZE else own > usual
