import time
import pytest
from tests.chains import *
@pytest.mark.django_db
def test_x(client, settings):
    settings.STATIC_ROOT=None; settings.WHITENOISE_USE_FINDERS=False
    t=time.time(); fill_database("gnotest-1"); print(time.time()-t)
    for u in ["/","/tokens/balances?limit=2","/tokens/gno.land/r/demo/defi/foo20/balances?limit=2","/tokens/transfer-history?limit=2","/health","/nope","/tokens/balances?limit=0", "/docs", "/tokens/x y/balances", "/tokens//balances"]:
        r=client.get(u); print(u, r.status_code, r.headers, r.content.decode()[:1500])
    r=client.get("/tokens/balances", HTTP_ACCEPT="text/html"); print(r.status_code, r.content.decode()[:300])
    for q in ("realm", ):
        pass
    t=time.time()
    for i in range(50): client.get("/tokens/transfer-history?limit=100")
    print((time.time()-t)/50)
