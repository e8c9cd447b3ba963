// A client is reset twice, and succeeds at its third attempt: node --test lab.test.mjs

import assert from "node:assert";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

async function startLab(...options) {
  const file = `${mkdtempSync(`${tmpdir()}/lab-`)}/ports`;
  const words = ["serve", "--port", "0", "--port-file", file, ...options];
  const lab = spawn("tcplab", words, { stdio: ["ignore", "pipe", "inherit"] });
  lab.stdout.resume();
  while (!existsSync(file)) {
    assert.equal(lab.exitCode, null, "the lab has ended");
    await sleep(20);
  }
  return { port: Number(readFileSync(file, "utf8").split(/\s+/)[2]), end: () => lab.kill() };
}

function ask(port, question) { // the client that is tested
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(question));
    socket.once("data", (data) => { socket.destroy(); resolve(data.toString()); });
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("closed")));
  });
}

test("the client tries again", async () => {
  const lab = await startLab("--behaviour", "echo", "--fault", "reset_peer,conn=1-2");
  try {
    await assert.rejects(ask(lab.port, "hello"));
    await assert.rejects(ask(lab.port, "hello"));
    assert.equal(await ask(lab.port, "hello"), "hello");
  } finally {
    lab.end();
  }
});
