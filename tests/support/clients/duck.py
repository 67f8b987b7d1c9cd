"""Run by the clients' Python: DuckDB's httpfs writes Parquet to the store and reads it back."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import duckdb_extension_httpfs

folder = Path(duckdb_extension_httpfs.__file__).parent / "extensions"
extension = next(folder.glob("*/httpfs.duckdb_extension"))
db = duckdb.connect()
db.execute(f"LOAD '{extension}'")
db.execute(f"""CREATE SECRET (TYPE s3, PROVIDER config, KEY_ID '{os.environ["AWS_ACCESS_KEY_ID"]}',
    SECRET '{os.environ["AWS_SECRET_ACCESS_KEY"]}', REGION 'us-east-1', URL_STYLE 'path', USE_SSL false,
    ENDPOINT '{urlsplit(os.environ["ENDPOINT"]).netloc}')""")
bucket = os.environ["BUCKET"]
db.execute(f"COPY (SELECT i, i % 7 AS g, repeat('x', 40) AS t FROM range(2000000) r(i)) "
           f"TO 's3://{bucket}/one.parquet' (COMPRESSION uncompressed)")
db.execute(f"COPY (SELECT i, i % 5 AS part FROM range(1000) r(i)) TO 's3://{bucket}/parts' "
           "(FORMAT parquet, PARTITION_BY part)")
assert db.sql(f"SELECT count(*), sum(i) FROM 's3://{bucket}/one.parquet'").fetchone() == (2000000, 1999999000000)
assert db.sql(f"SELECT count(*) FROM read_parquet('s3://{bucket}/parts/*/*.parquet')").fetchone() == (1000,)
assert db.sql(f"SELECT sum(i) FROM read_parquet('s3://{bucket}/parts/part=3/*.parquet')").fetchone() == (100100,)
