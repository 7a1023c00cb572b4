import { expect, test } from "vitest";
import { parseDuration } from "../../src/duration.ts";
import { deployFile, optionOf, parseUnit } from "./deploy-file.ts";

const units = ["castellan.service", "castellan@.service"];

test.for(units)(
  "deploy/systemd/%s: gives the server time to start and to drain, and lets it end its own processes",
  (name) => {
    const service = parseUnit(deployFile(`systemd/${name}`)).get("Service");
    const value = (key: string): string => service?.get(key)?.join(" ") ?? "";
    const command = value("ExecStart").split(" ");
    expect(value("Type")).toBe("notify");
    expect(value("KillMode")).toBe("mixed");
    expect(value("OOMPolicy")).toBe("continue");
    expect(Number(value("WatchdogSec"))).toBeGreaterThan(0);
    expect(Number(value("TimeoutStopSec")) * 1_000).toBeGreaterThan(
      (parseDuration(optionOf(command, "--drain-timeout")) ?? Number.POSITIVE_INFINITY) + 5_000,
    );
    const wait = /waitForOwner: "(\w+)"/.exec(deployFile("app/castellan.config.ts"))?.[1];
    expect(Number(value("TimeoutStartSec")) * 1_000).toBeGreaterThan(parseDuration(wait) ?? Number.POSITIVE_INFINITY);
  },
);

test("deploy/systemd: the two services differ only in how they listen", () => {
  const [one = "", instance = ""] = units.map((name) => deployFile(`systemd/${name}`));
  const settings = (text: string) =>
    [...(parseUnit(text).get("Service") ?? [])].map(([key, values]) => `${key}=${values.join(" ")}`);
  const own = settings(instance).filter((line) => !settings(one).includes(line));
  expect(own.map((line) => line.split("=")[0])).toEqual(["Sockets", "ExecStart"]);
  expect(
    settings(one)
      .filter((line) => !settings(instance).includes(line))
      .map((line) => line.split("=")[0]),
  ).toEqual(["ExecStart", "PrivateTmp"]);
});

test("deploy/systemd/castellan.socket: belongs to an instance of castellan@.service, which wants it", () => {
  const socket = parseUnit(deployFile("systemd/castellan.socket"));
  expect(socket.get("Socket")?.get("Service")).toEqual(["castellan@blue.service"]);
  expect(parseUnit(deployFile("systemd/castellan@.service")).get("Service")?.get("Sockets")).toEqual([
    "castellan.socket",
  ]);
});
