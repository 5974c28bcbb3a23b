"""The demo: once around the whole loop on handwritten digits, through the compiled pipelines, on this machine."""

from pipelines.demo.scenario import run_demo

__all__ = ["run_demo"]
