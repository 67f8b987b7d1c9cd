"""Run by the clients' Python: boto3 against the endpoint in the environment. Argument: which journey."""

import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

MIB = 1 << 20


def client():
    return boto3.client("s3", endpoint_url=os.environ["ENDPOINT"], region_name="us-east-1",
                        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}))


class Pattern:
    """A file of `size` bytes that nobody has to keep; remembers its MD5."""

    def __init__(self, size):
        self.size, self.at, self.block = size, 0, hashlib.shake_128(b"pattern").digest(MIB)

    def bytes(self, offset, length):
        out = bytearray()
        while length > 0:
            inside = offset % MIB
            piece = self.block[inside:inside + length]
            out += piece
            offset += len(piece)
            length -= len(piece)
        return bytes(out)

    def read(self, length=-1):
        left = self.size - self.at
        length = left if length is None or length < 0 else min(length, left)
        data = self.bytes(self.at, length)
        self.at += length
        return data

    def seek(self, offset, whence=0):
        self.at = offset if whence == 0 else (self.at if whence == 1 else self.size) + offset
        return self.at

    def tell(self):
        return self.at


class Sink:
    """Takes the pieces of a parallel download in any order and compares each."""

    def __init__(self, wanted):
        self.wanted, self.at, self.got = wanted, 0, 0

    def seek(self, offset, whence=0):
        self.at = offset

    def tell(self):
        return self.at

    def seekable(self):
        return True

    def write(self, data):
        assert data == self.wanted.bytes(self.at, len(data)), f"other bytes at {self.at}"
        self.at += len(data)
        self.got += len(data)


def objects():
    s3 = client()
    s3.create_bucket(Bucket="boto")
    for key in ("plain", "a b/ü+%2F", "x/../y", "//slashes//", "emoji-\U0001f600", "quote\"<&>'"):
        body = key.encode() * 100
        s3.put_object(Bucket="boto", Key=key, Body=body, Metadata={"note": "one note"}, ContentType="text/x-note",
                      CacheControl="max-age=60", Tagging="kind=test")
        got = s3.get_object(Bucket="boto", Key=key)
        assert got["Body"].read() == body, key
        assert got["Metadata"] == {"note": "one note"} and got["ContentType"] == "text/x-note", got
        assert got["CacheControl"] == "max-age=60" and got["TagCount"] == 1, got
    assert len(s3.list_objects_v2(Bucket="boto")["Contents"]) == 6
    for algorithm in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"):
        s3.put_object(Bucket="boto", Key="sum", Body=b"12345", ChecksumAlgorithm=algorithm)
        head = s3.head_object(Bucket="boto", Key="sum", ChecksumMode="ENABLED")
        assert head[f"Checksum{algorithm}"], head
    try:
        s3.put_object(Bucket="boto", Key="plain", Body=b"no", IfNoneMatch="*")
        raise AssertionError("If-None-Match was not looked at")
    except ClientError as failure:
        assert failure.response["Error"]["Code"] == "PreconditionFailed", failure
    # Without the word it presigns by version 2 of the signature, which is refused.
    signer = boto3.client("s3", endpoint_url=os.environ["ENDPOINT"], config=Config(signature_version="s3v4"))
    url = signer.generate_presigned_url("get_object", {"Bucket": "boto", "Key": "plain"}, ExpiresIn=60)
    print(url)


def large():
    s3 = client()
    size = int(os.environ.get("SIZE", 1 << 30)) + 12345
    config = TransferConfig(multipart_chunksize=8 * MIB, max_concurrency=4)
    s3.create_bucket(Bucket="large")
    s3.upload_fileobj(Pattern(size), "large", "file", Config=config)
    head = s3.head_object(Bucket="large", Key="file")
    assert head["ContentLength"] == size and head["ETag"].endswith('-129"') == (size > (1 << 30)), head
    sink = Sink(Pattern(size))
    s3.download_fileobj("large", "file", sink, Config=config)
    assert sink.got == size, sink.got
    s3.copy({"Bucket": "large", "Key": "file"}, "large", "copy", Config=config)
    assert s3.head_object(Bucket="large", Key="copy")["ContentLength"] == size
    s3.delete_objects(Bucket="large", Delete={"Objects": [{"Key": "file"}, {"Key": "copy"}]})
    assert "Contents" not in s3.list_objects_v2(Bucket="large")


def race():
    """Of many conditional writes exactly one wins."""
    s3 = client()
    s3.create_bucket(Bucket="race")

    def attempt(number):
        try:
            s3.put_object(Bucket="race", Key="one", Body=str(number), IfNoneMatch="*")
            return number
        except ClientError as failure:
            assert failure.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict")
            return None

    with ThreadPoolExecutor(8) as pool:
        winners = [n for n in pool.map(attempt, range(32)) if n is not None]
    assert len(winners) == 1, winners
    assert s3.get_object(Bucket="race", Key="one")["Body"].read() == str(winners[0]).encode()


{"objects": objects, "large": large, "race": race}[sys.argv[1]]()
