"""Routes of the whole project."""

from django.contrib import admin
from django.urls import include, path

admin.site.site_header = admin.site.site_title = "gno.land token indexer"
admin.site.index_title = "What is stored"

handler400 = "balances.api.problems.bad_request"
handler403 = "balances.api.problems.permission_denied"
handler404 = "balances.api.problems.not_found"
handler500 = "balances.api.problems.server_error"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("balances.api.urls")),
]
