"""Routes of the whole project."""

from django.contrib import admin
from django.urls import include, path

admin.site.site_header = admin.site.site_title = "gno.land token indexer"
admin.site.index_title = "What is stored"

handler400 = "balances.api.responses.problems.bad_request"
handler403 = "balances.api.responses.problems.permission_denied"
handler404 = "balances.api.responses.problems.not_found"
handler500 = "balances.api.responses.problems.server_error"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("balances.api.urls")),
]
