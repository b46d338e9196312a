"""Index route: links to every other route."""

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.schemas.generators import EndpointEnumerator
from rest_framework.viewsets import ViewSet


class IndexViewSet(ViewSet):
    """GRC20 balances and transfers of one gno.land chain. Every answer says up to which height it is true."""

    @extend_schema(exclude=True)
    def list(self, request: Request) -> Response:
        from balances.api.urls import urlpatterns  # it imports this module

        here = request.build_absolute_uri(reverse("index"))
        paths = (EndpointEnumerator().get_path_from_regex(str(each.pattern)).strip("/") for each in urlpatterns)
        # A path with braces is a pattern, not a link, so it is left as it is.
        links = {path.rstrip("/"): here + path for path in (*filter(None, paths), "admin/")}
        return Response(links, headers={"Cache-Control": "no-cache"})
