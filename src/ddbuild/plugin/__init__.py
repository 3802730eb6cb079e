"""What Data Designer finds of ddbuild by itself: a seed source that names a build target, and one for its own runs.

    from ddbuild import TargetSeedSource

    config.with_seed_dataset(TargetSeedSource(target="//judged"))

Everybody who imports Data Designer in an environment with ddbuild imports this package, so it has to be light, must
never fail, and does nothing before rows are read.
"""

from __future__ import annotations

from data_designer.plugins.plugin import Plugin, PluginType

__all__ = ["kept_plugin", "plugin"]

plugin = Plugin(
    config_qualified_name="ddbuild.plugin.seed_source.TargetSeedSource",
    impl_qualified_name="ddbuild.plugin.seed_reader.TargetSeedReader",
    plugin_type=PluginType.SEED_READER,
)

kept_plugin = Plugin(
    config_qualified_name="ddbuild.kept_seed.source.KeptSeedSource",
    impl_qualified_name="ddbuild.kept_seed.reader.KeptSeedReader",
    plugin_type=PluginType.SEED_READER,
)
"""For ddbuild's own runs: rows that are partly kept ones."""
