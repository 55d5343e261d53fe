"""The one traceable BERT that all targets convert, sharing the parameters of the checkpoint."""

from bertmobile_export.network.network import Network, build_network

__all__ = ["Network", "build_network"]
