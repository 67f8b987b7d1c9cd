// Run by node in build/clients: the MinIO client against the endpoint in the environment.
import assert from "node:assert";
import { createRequire } from "node:module";
import { randomBytes } from "node:crypto";

const require = createRequire(process.env.CLIENTS + "/");
const { Client } = require("minio");

const url = new URL(process.env.ENDPOINT);
const client = new Client({
  endPoint: url.hostname,
  port: Number(url.port),
  useSSL: url.protocol === "https:",
  accessKey: process.env.AWS_ACCESS_KEY_ID,
  secretKey: process.env.AWS_SECRET_ACCESS_KEY,
});

async function read(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

const bucket = process.env.BUCKET;
await client.makeBucket(bucket);
assert(await client.bucketExists(bucket));
assert(!(await client.bucketExists("not-there")));
for (const size of [0, 1, 70000, 12 << 20]) {
  const body = randomBytes(size);
  const key = `dir/ü b+c/${size}`;
  await client.putObject(bucket, key, body, size, { "X-Amz-Meta-Note": "one" });
  assert((await read(await client.getObject(bucket, key))).equals(body), `${size}`);
  const stat = await client.statObject(bucket, key);
  assert.equal(stat.size, size);
  assert.equal(stat.metaData.note, "one");
}
const part = await read(await client.getPartialObject(bucket, "dir/ü b+c/70000", 100, 50));
assert.equal(part.length, 50);
await client.copyObject(bucket, "copy", `/${bucket}/dir/ü b+c/70000`);
const names = [];
for await (const item of client.listObjectsV2(bucket, "", true)) names.push(item.name);
assert.equal(names.length, 5);
const answer = await fetch(await client.presignedGetObject(bucket, "copy", 60));
assert.equal((await answer.arrayBuffer()).byteLength, 70000);
await client.removeObjects(bucket, names);
await client.removeBucket(bucket);
