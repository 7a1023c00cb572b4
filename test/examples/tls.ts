import { expect, test } from "vitest";
import { withTls } from "../../examples/cluster/tls.ts";
import { clusterSettings } from "../../src/cluster/cluster-options.ts";

test("cluster/tls.ts: gives a node the files of its certificate, and an address of HTTPS", () => {
  const options = { postgres: "postgres://localhost/app", secret: "s".repeat(32), advertise: "http://10.0.0.7:7700" };
  const { advertise, tls } = clusterSettings(withTls(options));
  expect(advertise.protocol).toBe("https:");
  expect(tls).toMatchObject({ cert: "/etc/support/node.pem", key: "/etc/support/node.key" });
});
