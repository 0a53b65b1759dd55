# An analyst's program, with the ADBC driver for Flight SQL: it prints what it
# got, one JSON value a line.
import json
import sys
import warnings

warnings.simplefilter("ignore")
import adbc_driver_flightsql.dbapi as flight  # noqa: E402

address, token = sys.argv[1], sys.argv[2]


def say(what, value):
    print(json.dumps({"what": what, "value": value}, ensure_ascii=False), flush=True)


def fails(what, call):
    try:
        call()
        say(what, "allowed")
    except Exception as e:  # every refusal must arrive as an error of the driver
        say(what, str(e))


def connect(bearer):
    return flight.connect(
        address, db_kwargs={"adbc.flight.sql.authorization_header": "Bearer " + bearer}, autocommit=True
    )


def execute(cursor, text, parameters=None):
    cursor.execute(text, parameters)
    return cursor.fetch_arrow_table()


with connect(token) as c:
    say("server", c.adbc_get_info()["vendor_name"])
    objects = c.adbc_get_objects(depth="columns").read_all().to_pylist()
    say("tables", sorted(t["table_name"] for s in objects[0]["catalog_db_schemas"] for t in s["db_schema_tables"]))
    say("columns", len(c.adbc_get_table_schema("event")))
    with c.cursor() as cur:
        table = execute(cur, "SELECT kind, count(*) AS n, sum(amount_yen)::BIGINT AS yen FROM event GROUP BY kind ORDER BY kind")
        say("rows", table.to_pylist())
        say("label", table.schema.metadata[b"label"].decode())
        table = execute(cur, "SELECT count(*) AS n FROM event WHERE kind = ? AND amount_yen >= ?", ("pay", 200))
        say("bound", table.to_pylist())
        table = execute(cur, "SELECT amount_yen FROM event ORDER BY amount_yen")
        say("many", [table.num_rows, table["amount_yen"][0].as_py(), table["amount_yen"][-1].as_py()])
        execute(cur, "CREATE TEMP TABLE mine AS SELECT * FROM payment")
        say("temporary", execute(cur, "SELECT count(*) AS n FROM mine").to_pylist())
        fails("read_csv", lambda: execute(cur, "SELECT * FROM read_csv('/etc/passwd')"))
        fails("insert", lambda: execute(cur, "INSERT INTO mine SELECT * FROM mine"))
        fails("too many", lambda: execute(cur, "SELECT * FROM range(1000000)"))
        import pyarrow

        fails("ingest", lambda: cur.adbc_ingest("people", pyarrow.table({"name": ["x"]})))
        say("after", execute(cur, "SELECT 1 AS one").to_pylist())
fails("wrong token", lambda: execute(connect("x" * 43).cursor(), "SELECT 1"))
