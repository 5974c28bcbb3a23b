"""A stand-in for the API server of Kubeflow Pipelines 2.17, on a free port of the loopback interface.

The real server needs a cluster, a database and Argo. This one keeps its entities in memory. It validates requests
against the models of `kfp_server_api` and with the checks of the backend's Go source. It responds with those models.
"""

import base64
import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import kfp_server_api as api
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

_PAGE, _LARGEST_PAGE = 20, 200
_PREFIX = "/apis/v2beta1"
_PIPELINE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_CRON_FIELD = re.compile(r"([*?]|[0-9]+|[A-Za-z]{3})(-([0-9]+|[A-Za-z]{3}))?(/[1-9][0-9]*)?")
_CRON_BOUNDS = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 500: 13, 503: 14}
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "STRING": str,
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": bool,
    "STRUCT": dict,
    "LIST": list,
}


class _Refused(Exception):  # noqa: N818 - reads as what happened
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class KfpServer:
    """State and behavior of the server.

    Attributes:
        url: URL of the server.
        token: Bearer token that it requires; empty for none.
        namespaces: Namespaces of the user in multi-user mode; empty in single-user mode.
        version: API version of its paths: `v2beta1`, or an older one.
        login: Whether it responds to every request with a login page, as a proxy before it does.
        largest_page: Largest page of a list.
        after_write: Called with the number of writes so far, after a write and before its response.
        unavailable: Number of further requests for a run that fail with 503.
        nodes: Argo nodes of every run; None for a server without API v1beta1.
        logs: Logs of the existing pods, by pod.
        run_states: States of a run, one per request; the last one stays.
        pipelines, versions, experiments, recurring_runs, runs: Entities by id, in order of creation.
        requests: Requests so far, e.g. `POST /apis/v2beta1/pipelines`.
        deleted: Propagation policies of deleted recurring runs, by id.
    """

    url: str = ""
    token: str = ""
    namespaces: tuple[str, ...] = ()
    version: str = "v2beta1"
    login: bool = False
    largest_page: int = _LARGEST_PAGE
    after_write: Callable[[int], None] = lambda count: None
    unavailable: int = 0
    nodes: list[dict[str, Any]] | None = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    run_states: list[str] = field(default_factory=lambda: ["SUCCEEDED"])
    pipelines: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    experiments: dict[str, Any] = field(default_factory=dict)
    recurring_runs: dict[str, Any] = field(default_factory=dict)
    runs: dict[str, Any] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    deleted: dict[str, str] = field(default_factory=dict)
    _clock: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    @property
    def writes(self) -> list[str]:
        """The requests that may have changed the state."""
        return [each for each in self.requests if not each.startswith("GET ")]

    def versions_of(self, pipeline: str) -> list[str]:
        """Return the names of a pipeline's versions."""
        (pipeline_id,) = (key for key, each in self.pipelines.items() if each.name == pipeline)
        return [each.name for each in self.versions.values() if each.pipeline_id == pipeline_id]

    def enabled(self, name: str) -> list[Any]:
        """Return the enabled recurring runs with a name."""
        return [each for each in self.recurring_runs.values() if each.display_name == name and each.mode == "ENABLE"]

    # Handlers of requests follow.

    def list_pipelines(self, query: dict[str, str]) -> Any:
        namespace = query.pop("namespace", "")
        there = [each for each in self.pipelines.values() if (each.namespace or "") == self._own(namespace)]
        page, token = self._page(there, query, ("pipeline_id", "name", "display_name", "created_at", "description"))
        return api.V2beta1ListPipelinesResponse(pipelines=page, total_size=len(there), next_page_token=token)

    def create_pipeline(self, query: dict[str, str], body: Any) -> Any:
        pipeline = _model(api.V2beta1Pipeline, body)
        pipeline.name = pipeline.name or pipeline.display_name
        if not pipeline.name:
            raise _Refused(400, "pipeline's name cannot be empty")
        if len(pipeline.name) > 128:
            raise _Refused(400, "Pipeline.Name length cannot exceed 128")
        pipeline.namespace = self._own(pipeline.namespace or "")
        if any((each.name, each.namespace) == (pipeline.name, pipeline.namespace) for each in self.pipelines.values()):
            raise _Refused(409, f"The name {pipeline.name} already exist. Please specify a new name")
        pipeline.display_name = pipeline.display_name or pipeline.name
        pipeline.pipeline_id, pipeline.created_at = self._id(), self._now()
        self.pipelines[pipeline.pipeline_id] = pipeline
        return pipeline

    def list_versions(self, query: dict[str, str], pipeline_id: str) -> Any:
        _of(self.pipelines, pipeline_id, "Pipeline")
        there = [each for each in self.versions.values() if each.pipeline_id == pipeline_id]
        keys = ("pipeline_version_id", "name", "display_name", "created_at", "description")
        page, token = self._page(there, query, keys)
        return api.V2beta1ListPipelineVersionsResponse(
            pipeline_versions=page, total_size=len(there), next_page_token=token
        )

    def get_version(self, query: dict[str, str], pipeline_id: str, version_id: str) -> Any:
        _of(self.pipelines, pipeline_id, "Pipeline")
        return _of(self.versions, version_id, "PipelineVersion")

    def upload_version(self, query: dict[str, str], content: bytes) -> Any:
        pipeline = _of(self.pipelines, query.pop("pipelineid", ""), "Pipeline")
        name = query.pop("name", "")
        if not 0 < len(name) <= 127:
            raise _Refused(400, "PipelineVersion.Name length cannot exceed 127")
        if any((each.name, each.pipeline_id) == (name, pipeline.pipeline_id) for each in self.versions.values()):
            raise _Refused(409, "Failed to create a pipeline version")
        version = api.V2beta1PipelineVersion(
            pipeline_id=pipeline.pipeline_id,
            pipeline_version_id=self._id(),
            name=name,
            display_name=name,
            description=query.pop("description", ""),
            created_at=self._now(),
            pipeline_spec=_specification(content),
        )
        self.versions[version.pipeline_version_id] = version
        return version

    def list_experiments(self, query: dict[str, str]) -> Any:
        namespace = self._own(query.pop("namespace", ""))
        there = [each for each in self.experiments.values() if each.namespace == namespace]
        page, token = self._page(there, query, ("experiment_id", "display_name", "created_at"))
        return api.V2beta1ListExperimentsResponse(experiments=page, total_size=len(there), next_page_token=token)

    def create_experiment(self, query: dict[str, str], body: Any) -> Any:
        experiment = _model(api.V2beta1Experiment, body)
        if not experiment.display_name:
            raise _Refused(400, "Experiment's name cannot be empty")
        experiment.namespace = self._own(experiment.namespace or "")
        known = ((each.display_name, each.namespace) for each in self.experiments.values())
        if (experiment.display_name, experiment.namespace) in known:
            raise _Refused(409, f"The name {experiment.display_name} already exists. Please specify a new name")
        experiment.experiment_id, experiment.created_at = self._id(), self._now()
        experiment.storage_state = "AVAILABLE"
        self.experiments[experiment.experiment_id] = experiment
        return experiment

    def get_experiment(self, query: dict[str, str], experiment_id: str) -> Any:
        return _of(self.experiments, experiment_id, "Experiment")

    def list_recurring_runs(self, query: dict[str, str]) -> Any:
        namespace = self._own(query.pop("namespace", ""))
        there = [each for each in self.recurring_runs.values() if each.namespace == namespace]
        keys = ("recurring_run_id", "name", "display_name", "created_at", "updated_at", "description")
        page, token = self._page(there, query, keys)
        return api.V2beta1ListRecurringRunsResponse(recurring_runs=page, total_size=len(there), next_page_token=token)

    def create_recurring_run(self, query: dict[str, str], body: Any) -> Any:
        recurring_run = _model(api.V2beta1RecurringRun, body)
        if not recurring_run.display_name:
            raise _Refused(400, "Recurring run name is empty. Please specify a valid name")
        if not 1 <= int(recurring_run.max_concurrency or 0) <= 10:
            raise _Refused(400, "The max concurrency of the recurring run is out of range. Support 1-10.")
        if len(recurring_run.description or "") > 255:
            raise _Refused(500, "Data too long for column 'Description'")
        if recurring_run.mode not in ("ENABLE", "DISABLE"):
            raise _Refused(400, "Invalid recurring run mode")
        _check_cron(recurring_run.trigger.cron_schedule.cron)
        self._check_source(recurring_run)
        experiment = _of(self.experiments, recurring_run.experiment_id or "", "Experiment")
        recurring_run.namespace = experiment.namespace
        recurring_run.service_account = recurring_run.service_account or "pipeline-runner"
        recurring_run.recurring_run_id, recurring_run.created_at = self._id(), self._now()
        recurring_run.status = f"{recurring_run.mode}D"
        self.recurring_runs[recurring_run.recurring_run_id] = recurring_run
        return recurring_run

    def enable_recurring_run(self, query: dict[str, str], body: Any, recurring_run_id: str) -> Any:
        return self._set_mode(recurring_run_id, "ENABLE")

    def disable_recurring_run(self, query: dict[str, str], body: Any, recurring_run_id: str) -> Any:
        return self._set_mode(recurring_run_id, "DISABLE")

    def delete_recurring_run(self, query: dict[str, str], recurring_run_id: str) -> Any:
        _of(self.recurring_runs, recurring_run_id, "RecurringRun")
        self.deleted[recurring_run_id] = query.pop("propagation_policy", "DELETE_PROPAGATION_POLICY_UNSPECIFIED")
        del self.recurring_runs[recurring_run_id]
        return {}

    def create_run(self, query: dict[str, str], body: Any) -> Any:
        run = _model(api.V2beta1Run, body)
        if not run.display_name:
            raise _Refused(400, "The run name is empty. Please specify a valid name")
        _of(self.experiments, run.experiment_id or "", "Experiment")
        self._check_source(run)
        run.run_id, run.created_at, run.state = self._id(), self._now(), "PENDING"
        self.runs[run.run_id] = run
        return run

    def get_run(self, query: dict[str, str], run_id: str) -> Any:
        run = _of(self.runs, run_id, "Run")
        if self.unavailable:
            self.unavailable -= 1
            raise _Refused(503, "no healthy upstream")
        run.state = self.run_states.pop(0) if len(self.run_states) > 1 else self.run_states[0]
        return run

    def get_run_of_v1beta1(self, query: dict[str, str], run_id: str) -> Any:
        run = _of(self.runs, run_id, "Run")
        if self.nodes is None:
            raise _Refused(404, "Not Found")
        workflow = {
            "metadata": {"name": "image-scoring-2xs2l", "labels": {"pipeline/runid": run_id}},
            "status": {"nodes": {node["id"]: node for node in self.nodes}},
        }
        return {
            "run": {"id": run_id, "name": run.display_name, "status": run.state},
            "pipeline_runtime": {"workflow_manifest": json.dumps(workflow)},
        }

    def get_log(self, query: dict[str, str], run_id: str, pod: str) -> str:
        _of(self.runs, run_id, "Run")
        if pod not in self.logs:
            raise _Refused(500, f"Failed to read logs for run {run_id}: pods {pod!r} not found")
        return self.logs[pod]

    def get_health(self, query: dict[str, str]) -> Any:
        return api.V2beta1GetHealthzResponse(multi_user=bool(self.namespaces), pipeline_store="database")

    def _set_mode(self, recurring_run_id: str, mode: str) -> Any:
        recurring_run = _of(self.recurring_runs, recurring_run_id, "RecurringRun")
        recurring_run.mode, recurring_run.status = mode, f"{mode}D"
        return {}

    def _own(self, namespace: str) -> str:
        """Return the effective namespace, as the server's `ReplaceNamespace` and its authorization do."""
        if not self.namespaces:
            return ""
        if not namespace:
            raise _Refused(400, "Namespace cannot be empty in multi-user mode")
        if namespace not in self.namespaces:
            raise _Refused(403, f"User is not authorized to access namespace {namespace}")
        return namespace

    def _check_source(self, made: Any) -> None:
        """Check the pipeline of a run or recurring run, and its parameters."""
        reference = made.pipeline_version_reference
        if (reference is None) == (made.pipeline_spec is None):
            raise _Refused(400, "Exactly one of the pipeline spec and the pipeline version reference is needed")
        if reference is not None:
            _of(self.pipelines, reference.pipeline_id or "", "Pipeline")
            specification = _of(self.versions, reference.pipeline_version_id or "", "PipelineVersion").pipeline_spec
        else:
            specification = made.pipeline_spec
        declared = specification["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]
        for name, value in (made.runtime_config.parameters or {}).items():
            if name not in declared:
                raise _Refused(400, f"parameter {name} is not defined in the pipeline")
            kind = declared[name]["parameterType"]
            if not isinstance(value, _KINDS[kind]) or (isinstance(value, bool) and kind != "BOOLEAN"):
                raise _Refused(400, f"input parameter {name} requires type {kind}")

    def _page(
        self, items: list[Any], query: dict[str, str], keys: tuple[str, ...]
    ) -> tuple[list[Any] | None, str | None]:
        size = int(query.pop("page_size", "0")) or _PAGE
        if size < 0:
            raise _Refused(400, "The page size should be greater than 0")
        size = min(size, self.largest_page)
        order, condition = query.pop("sort_by", "") or "created_at", query.pop("filter", "")
        key, _, direction = order.partition(" ")
        if key not in keys or direction not in ("", "asc", "desc"):
            raise _Refused(400, f"Invalid sorting field: {order!r}")
        if direction == "desc":
            items = items[::-1]
        for predicate in json.loads(condition)["predicates"] if condition else ():
            if predicate["operation"] not in (1, "EQUALS") or predicate["key"] not in keys:
                raise _Refused(400, f"failed to parse valid filter from {condition!r}")
            items = [each for each in items if getattr(each, predicate["key"]) == predicate["stringValue"]]
        start = 0
        if token := query.pop("page_token", ""):
            start, *criteria = json.loads(base64.b64decode(token))
            if criteria != [order, condition]:
                raise _Refused(400, "page token does not match the supplied sort by and/or filtering criteria")
        rest = base64.b64encode(json.dumps([start + size, order, condition]).encode()).decode()
        # The real server omits an empty list.
        return items[start : start + size] or None, rest if start + size < len(items) else None

    def _id(self) -> str:
        return str(uuid.uuid4())

    def _now(self) -> datetime:
        self._clock += timedelta(seconds=1)
        return self._clock


_ROUTES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("GET", "healthz", KfpServer.get_health),
    ("GET", "pipelines", KfpServer.list_pipelines),
    ("POST", "pipelines", KfpServer.create_pipeline),
    ("POST", "pipelines/upload_version", KfpServer.upload_version),
    ("GET", "pipelines/([^/:]+)/versions", KfpServer.list_versions),
    ("GET", "pipelines/([^/:]+)/versions/([^/:]+)", KfpServer.get_version),
    ("GET", "experiments", KfpServer.list_experiments),
    ("POST", "experiments", KfpServer.create_experiment),
    ("GET", "experiments/([^/:]+)", KfpServer.get_experiment),
    ("GET", "recurringruns", KfpServer.list_recurring_runs),
    ("POST", "recurringruns", KfpServer.create_recurring_run),
    ("POST", "recurringruns/([^/:]+):enable", KfpServer.enable_recurring_run),
    ("POST", "recurringruns/([^/:]+):disable", KfpServer.disable_recurring_run),
    ("DELETE", "recurringruns/([^/:]+)", KfpServer.delete_recurring_run),
    ("POST", "runs", KfpServer.create_run),
    ("GET", "runs/([^/:]+)", KfpServer.get_run),
    # Only in older versions of the API, which 2.17 also serves.
    ("GET", "/apis/v1beta1/runs/([^/:]+)", KfpServer.get_run_of_v1beta1),
    ("GET", "/apis/v1alpha1/runs/([^/:]+)/nodes/([^/:]+)/log", KfpServer.get_log),
)


@contextmanager
def running_kfp_server() -> Iterator[KfpServer]:
    """Run the server, and yield its state."""
    state = KfpServer()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._serve()

        do_POST = do_DELETE = do_GET  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def _serve(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with lock:
                status, kind, answer = _answer(state, self.command, self.path, self.headers, content)
            try:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
            except ConnectionError:
                # Some tests kill the client.
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(
    state: KfpServer, method: str, target: str, headers: "Message[str, str]", content: bytes
) -> tuple[int, str, bytes]:
    url = urlsplit(target)
    state.requests.append(f"{method} {url.path}")
    if state.login:
        return 200, "text/html", b"<html>Log in</html>"
    is_upload = url.path.endswith("/upload_version")
    try:
        if state.token and headers.get("Authorization") != f"Bearer {state.token}":
            raise _Refused(401, "Request header error: there is no user identity header.")
        body: list[Any] = []
        if method == "POST":
            body = [_file(headers, content) if is_upload else json.loads(content or "null")]
        made = _handle(state, method, url.path, dict(parse_qsl(url.query)), body)
    except _Refused as error:
        message = str(error)
        body_of_error: dict[str, Any] = {"error_message": message, "error_details": message}
        if not is_upload:
            body_of_error = {"error": message, "code": _GRPC_CODES[error.status], "message": message, "details": []}
        return error.status, "application/json", json.dumps(body_of_error).encode()
    if method != "GET":
        state.after_write(len(state.writes))
    if isinstance(made, str):
        return 200, "text/plain", made.encode()
    return 200, "application/json", json.dumps(api.ApiClient().sanitize_for_serialization(made)).encode()


def _handle(state: KfpServer, method: str, path: str, query: dict[str, str], body: list[Any]) -> Any:
    prefix = f"/apis/{state.version}/"
    for verb, pattern, function in _ROUTES:
        match = re.fullmatch(pattern if pattern.startswith("/") else prefix + pattern, path)
        if match and verb == method:
            made = function(state, query, *body, *match.groups())
            if query:
                raise _Refused(400, f"unknown query parameters {sorted(query)}")
            return made
    raise _Refused(404, "Not Found")


def _of(items: Mapping[str, Any], key: str, kind: str) -> Any:
    if key not in items:
        raise _Refused(404, f"{kind} {key} not found")
    return items[key]


def _model(kind: type, body: Any) -> Any:
    """Return the model of a request's body; refuse unknown fields and wrong types."""
    _check(kind, body)
    return api.ApiClient()._ApiClient__deserialize(body, kind)


def _check(kind: Any, value: Any) -> None:
    if not isinstance(value, dict):
        raise _Refused(400, f"{kind.__name__} expects an object")
    types = {kind.attribute_map[name]: each for name, each in kind.openapi_types.items()}
    for name, part in value.items():
        if name not in types:
            raise _Refused(400, f"unknown field {name!r}")
        model = getattr(api, types[name], None)
        if model is not None and hasattr(model, "allowable_values"):
            if part not in model.allowable_values:
                raise _Refused(400, f"invalid value {part!r} for enum field {name}")
        elif model is not None:
            _check(model, part)
        elif (types[name] == "bool") != isinstance(part, bool) or (
            # protojson accepts an int64 as number or text.
            types[name] == "str" and not isinstance(part, str) and name != "max_concurrency"
        ):
            raise _Refused(400, f"invalid value {part!r} for field {name}")


def _file(headers: "Message[str, str]", content: bytes) -> bytes:
    head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    for part in message_from_bytes(head + content, EmailMessage, policy=policy.HTTP).iter_parts():
        if part.get_param("name", header="content-disposition") == "uploadfile":
            file = part.get_payload(decode=True)
            assert isinstance(file, bytes)
            return file
    raise _Refused(400, "Failed to create a pipeline version")


def _specification(content: bytes) -> dict[str, Any]:
    """Return the specification of an uploaded file, as the server does."""
    made: dict[str, Any] = {}
    for document in yaml.load_all(content, yaml.CSafeLoader):
        if "pipelineInfo" in document:
            specification = pipeline_spec_pb2.PipelineSpec()
            try:
                json_format.ParseDict(document, specification)
            except json_format.ParseError as error:
                raise _Refused(400, f"invalid v2 pipeline spec: {error}") from error
            if document.get("schemaVersion") != "2.1.0":
                raise _Refused(400, "KFP only supports schema version 2.1.0")
            if not _PIPELINE_NAME.fullmatch(specification.pipeline_info.name):
                raise _Refused(400, "invalid v2 pipeline spec: name should consist of lower case characters")
            made["pipeline_spec"] = document
        else:
            json_format.ParseDict(document, pipeline_spec_pb2.PlatformSpec())
            made["platform_spec"] = document
    if "pipeline_spec" not in made:
        raise _Refused(400, "no pipeline spec is provided")
    return made


def _check_cron(expression: str) -> None:
    """Refuse what github.com/robfig/cron refuses. It accepts five or six fields."""
    fields = expression.split()
    if len(fields) not in (5, 6):
        raise _Refused(400, f"Schedule cron is not a supported format: expected 5 or 6 fields, found {len(fields)}")
    for text, (low, high) in zip(fields, _CRON_BOUNDS, strict=False):
        for part in text.split(","):
            numbers = [int(number) for number in re.findall(r"(?<![/\d])\d+", part)]
            if not _CRON_FIELD.fullmatch(part) or any(not low <= number <= high for number in numbers):
                raise _Refused(400, f"Schedule cron is not a supported format: {text}")
