"""
Posts a report as a comment on the pull or merge request of a CI job.

Ours is the comment that was written with this token and begins with the marker of its tag. It is
updated, so that a request has one comment per tag. Where jobs that ran at once left several, all
are updated.

A forge is a module of this package with a subclass of `comments.forge.Forge`, and its name here.
"""

FORGES = ("github", "gitlab", "gitea")
"""The modules of the forges, by the names that ``--forge`` takes."""
