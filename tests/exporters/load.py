"""What the programs of the lab have to do: one thread each, until `stop` is set."""

import contextlib
import threading
import time
import urllib.error
import urllib.request

stop = threading.Event()


def again(work, pause=0.0):
    """Does the work again and again; a failure of the program under load is part of the load."""

    def turn():
        count = 0
        while not stop.wait(pause):
            count += 1
            with contextlib.suppress(Exception):
                work(count)

    threading.Thread(target=turn, daemon=True).start()


def http(url):
    def get(_count):
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(url, timeout=5):
            pass

    again(get, 0.02)


def redis(port):
    from redis import Redis

    client = Redis(port=port)

    def work(count):
        client.get(f"key{count % 3000}")
        client.set(f"key{count % 2000}", b"x" * 500)
        client.info("server")
        if count % 50 == 0:
            client.lpush("key1", "not a list")

    again(work, 0.003)


def postgres(port):
    import psycopg2

    def connect():
        deadline = time.monotonic() + 30
        while True:
            try:
                return psycopg2.connect(host="127.0.0.1", port=port, user="postgres", dbname="shop")
            except psycopg2.OperationalError:
                if deadline < time.monotonic():
                    raise
                time.sleep(0.1)

    admin = psycopg2.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres")
    admin.autocommit = True
    admin.cursor().execute("create database shop")
    first = connect()
    cursor = first.cursor()
    cursor.execute("create table stock as select n as id, 0 as sold from generate_series(1, 20000) n")
    first.commit()

    def worker(rows):
        connection = connect()

        def work(count):
            # Two workers that take the same rows in another order: a deadlock now and then.
            cursor = connection.cursor()
            try:
                for row in rows:
                    cursor.execute("update stock set sold = sold + 1 where id = %s", (row,))
                cursor.execute("select count(*) from (select id from stock order by sold, id) s")
                if count % 10 == 0:
                    connection.rollback()
                else:
                    connection.commit()
            except psycopg2.Error:
                connection.rollback()

        again(work, 0.01)

    worker([1, 2])
    worker([2, 1])


def mysql(port):
    import pymysql

    def connect():
        return pymysql.connect(host="127.0.0.1", port=port, user="root", autocommit=True)

    first = connect().cursor()
    first.execute("create database shop")
    first.execute("create table shop.stock (id int primary key, sold int) engine=innodb")
    first.execute("insert into shop.stock values (1, 0), (2, 0)")

    def worker(rows):
        cursor = connect().cursor()

        def work(count):
            try:
                cursor.execute("begin")
                for row in rows:
                    cursor.execute(f"update shop.stock set sold = sold + 1 where id = {row}")
                if count % 20 == 0:
                    cursor.execute("select sleep(0.02)")
            finally:
                cursor.execute("commit")

        again(work, 0.01)

    worker([1, 2])
    worker([2, 1])


def rabbitmq(port):
    import pika

    def channel():
        return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port)).channel()

    lost = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "lost"}
    first = channel()
    first.queue_declare("lost")
    first.queue_declare("mail", arguments=lost)

    def sender():
        sending = channel()

        def work(_count):
            sent = pika.BasicProperties(timestamp=int(time.time()))
            sending.basic_publish("", "mail", b"hello", sent)

        again(work, 0.01)

    def taker():
        taking = channel()

        def work(count):
            method, _, _ = taking.basic_get("mail")
            if method is None:
                return
            if count % 10 == 0:
                taking.basic_reject(method.delivery_tag, requeue=count % 20 == 0)
            elif count % 15:
                taking.basic_ack(method.delivery_tag)

        again(work, 0.012)

    sender()
    taker()
