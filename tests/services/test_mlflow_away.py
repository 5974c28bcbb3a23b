"""A tracking server that is away for a while."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from components.images.digest import folder_digest
from components.register_model.registry import CHAMPION, DIGEST_TAG, ModelRegistry
from components.score_images.score import require_champion
from tests.local.saved_model_factory import constant_classifier, log_classifier
from tests.services.servers import running_mlflow


def test_scoring_waits_for_a_server_that_is_away_and_gets_its_champion(tmp_path: Path) -> None:
    with running_mlflow(tmp_path) as url:
        registry = ModelRegistry(url, "away")
        model = log_classifier(url, None, constant_classifier((3, 5), 5))
        registry.create_version(model.run_id, model.model_uri, {DIGEST_TAG: model.digest})
        registry.set_alias(CHAMPION, "1")

    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        # It takes seconds to come up, which is when it is asked.
        port = int(url.rpartition(":")[2])
        back = pool.submit(lambda: stack.enter_context(running_mlflow(tmp_path, port)))
        assert not back.done()
        champion = require_champion(ModelRegistry(url, "away"))
        folder = registry.download(champion.model_uri, champion.digest, tmp_path / "downloaded")
        assert back.result() == url

    assert folder_digest(folder) == model.digest
