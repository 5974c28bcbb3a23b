"""The demo's loop in one process with a warm session, without the start of tasks."""

from pathlib import Path

from benchmarks.bench import Bench
from components.build_training_set.build import build_training_set
from components.evaluate_classifier.evaluate import Challenger, evaluate
from components.export_for_labeling.export import export_batch
from components.import_labels.import_annotations import import_into
from components.ingest_images.ingest import ingest_folder
from components.labeling.sources import open_source
from components.parameters import Choice
from components.register_model.register import Candidate, register
from components.registry.champion import read_succession, require_champion
from components.registry.model_registry import ModelRegistry
from components.score_images.score import score_lake
from components.storage import uri
from components.storage.open_folder import open_folder
from components.train_classifier.train import train
from pipelines.demo import people
from pipelines.demo.scenario import SCORING, TRAINING
from pipelines.samples.digits import make_digits


class WarmLoop:
    """The demo's loop over a separate lake.

    Args:
        bench: The run.
        name: Name of the lake.
    """

    def __init__(self, bench: Bench, name: str) -> None:
        self._folder = bench.make_folder(name)
        self._settings = bench.settings(name)
        self._lake = bench.lake(name)
        self._registry = ModelRegistry.open(self._settings)
        self._sample = make_digits(self._folder / "sample")

    def run(self) -> None:
        """Run the loop once, with the calls that the tasks' components make."""
        self._ingest(self._sample.labeled_folder, labeled=True)
        self._train()
        self._ingest(self._sample.unlabeled_folder, labeled=False)
        champion = require_champion(self._registry)
        score_lake(self._lake, self._registry, champion)
        to_label, annotations = self._folder / "to_label", self._folder / "labels.csv"
        destination = open_folder(str(to_label), "destination", self._settings)
        succession = read_succession(self._registry, champion)
        exported = export_batch(self._lake, self._settings, destination, succession, Choice(**SCORING))
        if people.annotate(to_label, self._sample.true_labels, annotations) != exported.count:
            raise RuntimeError("the demo's people did not annotate all exported images")
        if not import_into(self._lake, self._registry, open_source(str(annotations), self._settings)).retrain:
            raise RuntimeError("the imported labels do not require another training")
        self._train()

    def _ingest(self, folder: Path, labeled: bool) -> None:
        ingest_folder(self._lake, uri.normalize(str(folder), "source"), labeled=labeled)

    def _train(self) -> None:
        members = build_training_set(self._lake).training_set
        _, trained = train(self._settings, members.uri, **TRAINING)
        model = trained.run_id, trained.model_uri, trained.model_digest
        evaluation = evaluate(self._settings, members.uri, Challenger(*model))
        decision = evaluation.decision
        register(
            self._settings,
            Candidate(
                *model,
                training_set=members.uri,
                accuracy=evaluation.challenger.accuracy,
                promote=decision.promote,
                reason=decision.reason,
                compared_with=evaluation.compared_with,
            ),
        )
