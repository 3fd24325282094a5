"""Why a request is not answered: the one exception that every route turns into its own protocol's error."""

from __future__ import annotations

from http import HTTPStatus

from pegboard.errors import Problem, SignatureError


class Refused(Exception):
    """A request that gets no prediction; ``problems`` name rows and fields, ``total`` counts those not listed too."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        problems: tuple[Problem, ...] = (),
        total: int = 0,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.problems = problems
        self.total = total
        self.headers = headers


def bad_body(detail: str) -> Refused:
    """A body that cannot be read as rows."""
    return Refused(HTTPStatus.BAD_REQUEST, detail)


def misfit(error: SignatureError) -> Refused:
    """Rows that can be read and do not fit the signature."""
    detail = f"{error.total} problem{'s' * (error.total != 1)} in the rows"
    return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, detail, error.problems, error.total)
