"""A Django service with django-prometheus: some requests fail, some writes come twice."""

import os
import sys
import time

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse
from django.urls import include, path

settings.configure(
    SECRET_KEY="of a test",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django_prometheus"],
    MIDDLEWARE=[
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        "django_prometheus.middleware.PrometheusAfterMiddleware",
    ],
    DATABASES={
        "default": {"ENGINE": "django_prometheus.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}
    },
)
django.setup()

from django.db import DatabaseError, IntegrityError, connection  # noqa: E402

served = 0


def prepare():
    with connection.cursor() as cursor:
        cursor.execute("create table if not exists orders (id integer primary key)")


def buy(_request):
    global served
    served += 1
    time.sleep(0.002)
    with connection.cursor() as cursor:
        try:
            cursor.execute(f"insert into orders values ({served % 500})")
        except IntegrityError:
            pass
        if served % 50 == 0:
            try:
                cursor.execute("select * from nothing")
            except DatabaseError:
                pass
    if served % 40 == 0:
        raise RuntimeError("broken")
    return HttpResponse("ok")


urlpatterns = [path("buy", buy), path("", include("django_prometheus.urls"))]

if __name__ == "__main__":
    prepare()
    # One process and one thread per request: the counters are those of one instance.
    execute_from_command_line(["shop", "runserver", "--noreload", sys.argv[1]])
