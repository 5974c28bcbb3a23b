"""A proxy before the API server that can drop its connections."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from tests.support.dropping_proxy import DroppingProxy


@contextmanager
def dropping_proxy(folder: Path) -> Iterator[tuple[Path, DroppingProxy]]:
    """Start a proxy before the cluster of KUBECONFIG.

    Args:
        folder: Folder for a kubeconfig that connects through the proxy.

    Yields:
        The path of the kubeconfig, and the proxy.
    """
    configuration = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    (cluster,) = (each["cluster"] for each in configuration["clusters"])
    server = urlsplit(cluster["server"])
    proxy = DroppingProxy((str(server.hostname), server.port or 443))
    # The server's certificate contains its own host name.
    cluster |= {"server": f"https://127.0.0.1:{proxy.port}", "tls-server-name": server.hostname}
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(configuration))
    try:
        yield path, proxy
    finally:
        proxy.close()
