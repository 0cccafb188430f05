"""The provider plugin, for programs in every Pulumi language."""
