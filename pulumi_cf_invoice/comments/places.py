"""Finds the request that a CI job runs for, and the token to reach it with."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.credentials import unsendable
from pulumi_cf_invoice.billing.errors import SettingsError
from pulumi_cf_invoice.billing.settings import safe_base_url
from pulumi_cf_invoice.comments import FORGES
from pulumi_cf_invoice.comments.errors import CommentError
from pulumi_cf_invoice.comments.forge import Forge, Request, Variables

_LONGEST = 1000
_EXAMPLE = "https://git.example.com/api/v4"
_OTHERS = {
    "BITBUCKET_BUILD_NUMBER": "Bitbucket Pipelines",
    "TF_BUILD": "Azure Pipelines",
    "CI_FORGE_TYPE": "Woodpecker",
    "DRONE": "Drone",
    "CIRCLECI": "CircleCI",
    "BUILDKITE": "Buildkite",
    "JENKINS_URL": "Jenkins",
    "TEAMCITY_VERSION": "TeamCity",
}
"""Variables that show that a job runs elsewhere."""


@dataclass(frozen=True)
class Place:
    """Where a comment goes, as far as known."""

    forge: type[Forge] | None = None
    api_url: str | None = None
    repository: str | None = None
    number: int | None = None

    @property
    def text(self) -> str:
        """The place for people, with the options for what is unknown."""
        options = {
            "--forge": self.forge,
            "--repository": self.repository,
            "--request": self.number,
            "--api-url": self.api_url,
        }
        text = self.forge.request_text(self.repository, self.number) if self.forge else "a request"
        text += f", by {self.api_url}" if self.api_url else ""
        unknown = ", ".join(option for option, value in options.items() if not value)
        return one_line(f"{text} (not known here: {unknown})" if unknown else text, _LONGEST)


def load(name: str) -> type[Forge]:
    """Return the forge of a *name* in `FORGES`."""
    module = import_module(f"pulumi_cf_invoice.comments.{name}")
    [forge] = (
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Forge)
        and value.__module__ == module.__name__
    )
    return forge


def find_place(
    variables: Mapping[str, str],
    *,
    forge: str | None = None,
    api_url: str | None = None,
    repository: str | None = None,
    number: int | None = None,
) -> Place:
    """
    Return the request that a job with *variables* runs for, as far as they show it.

    Explicit arguments come before the variables. Raises `CommentError` if these would send a token
    to a forge that it does not belong to, or over an unsafe connection.
    """
    variables = _stripped(variables)
    chosen = load(forge) if forge else _forge_of_job(variables)
    if chosen is None:
        return Place()
    # What a job on another forge says about its request does not apply to this one.
    of_job = variables if chosen.runs(variables) else {}
    return Place(
        chosen,
        _safe("--api-url", api_url) or _safe("its own address", chosen.api_url(variables)),
        repository or chosen.repository(of_job),
        number or chosen.number(of_job),
    )


def find_request(
    variables: Mapping[str, str],
    *,
    forge: str | None = None,
    api_url: str | None = None,
    repository: str | None = None,
    number: int | None = None,
) -> Request:
    """Return what `find_place` does, all of it, with its token. Raises `CommentError`."""
    place = find_place(
        variables, forge=forge, api_url=api_url, repository=repository, number=number
    )
    if place.forge is None:
        raise CommentError(_unknown_forge(variables))
    if not place.repository:
        raise CommentError("cannot comment: the repository is not known: give --repository")
    if not place.number:
        raise CommentError(
            "cannot comment: this job runs for no pull or merge request, or for several: give "
            "--request NUMBER"
        )
    if not place.api_url:
        raise CommentError(
            f"cannot comment: which {place.forge.title} server the token belongs to is not known: "
            "give --api-url"
        )
    variables = _stripped(variables)
    return Request(
        place.forge,
        place.api_url,
        place.repository,
        place.number,
        _token(place.forge, variables),
        place.forge.certificates(variables),
    )


def _stripped(variables: Mapping[str, str]) -> Variables:
    stripped = {name: value.strip() for name, value in variables.items()}
    return {name: value for name, value in stripped.items() if value}


def _forges_of_job(variables: Variables) -> list[type[Forge]]:
    return [forge for forge in map(load, FORGES) if forge.runs(variables)]


def _forge_of_job(variables: Variables) -> type[Forge] | None:
    forges = _forges_of_job(variables)
    for forge in forges:
        if forge.must_be_named:
            raise CommentError(f"cannot comment: {forge.must_be_named}")
    if len(forges) > 1:
        names = " and ".join(forge.title for forge in forges)
        raise CommentError(f"cannot comment: this job has the variables of {names}: give --forge")
    return forges[0] if forges else None


def _unknown_forge(variables: Mapping[str, str]) -> str:
    runner = next((title for name, title in _OTHERS.items() if variables.get(name)), None)
    where = f"this job runs on {runner}, which is" if runner else "this is"
    return (
        f"cannot comment: {where} neither GitHub Actions nor GitLab CI: give --forge, "
        "--repository, --request and --api-url, or post the report by hand"
    )


def _token(forge: type[Forge], variables: Variables) -> str:
    """Return the token of *forge*. Raises `CommentError` if there is none that can be sent."""
    names = list(forge.token_variables)
    if forge.runs(variables):
        names += forge.job_token_variables
    else:
        # A variable that two forges name has the token of the job's own.
        for other in _forges_of_job(variables):
            taken = (*other.token_variables, *other.job_token_variables)
            names = [name for name in names if name not in taken]
    found = next((name for name in names if name in variables), None)
    if found is None:
        raise CommentError(f"cannot comment: no token: set {' or '.join(names)}")
    problem = unsendable({"access token": variables[found]})
    if problem:
        raise CommentError(f"cannot comment: {found} {problem}")
    return variables[found]


def _safe(name: str, api_url: str | None) -> str | None:
    try:
        return safe_base_url(api_url, _EXAMPLE) if api_url else None
    except SettingsError as error:
        raise CommentError(f"cannot comment: {name}: {error}") from None
