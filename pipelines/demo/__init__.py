"""The demo: the whole loop, once, on handwritten digits, with the compiled pipelines, on this machine."""

from pipelines.demo.scenario import run_demo

__all__ = ["run_demo"]
