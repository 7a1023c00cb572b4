import { describe, expect, it } from "vitest";
import { sessionChange } from "../../src/application/tree/reconcile.ts";
import { differencesOf, fingerprintOf, spareMismatch } from "../../src/claude/fingerprint.ts";
import { effectOf, OPTION_TABLE, OWN_OPTIONS } from "../../src/session/options/option-table.ts";
import type { OwnOptions } from "../../src/session/options/options.ts";
import { likeOptions, optionsOf, sessionSettings, shapeOf } from "../../src/session/options/session-settings.ts";

/** Options that an example needs beside it: a permanent session cannot be significant. */
const BESIDE: Partial<Record<keyof OwnOptions, OwnOptions>> = { significant: { restart: "transient" } };

describe.each(OWN_OPTIONS)("OPTION_TABLE: %s", (name) => {
  const row = OPTION_TABLE[name];
  const beside = BESIDE[name] ?? {};
  const plain = sessionSettings({ name: "a", ...beside }, {});
  const given = sessionSettings({ name: "a", ...beside, [name]: row.example }, {});

  it("has a valid example that differs from the default", () => {
    expect(given[name]).not.toEqual(plain[name]);
  });

  it("reads back as the same value", () => {
    const again = sessionSettings({ ...optionsOf(given), name: "a" }, {});
    expect(again[name]).toEqual(given[name]);
  });

  it("has the effect of its row on reconcile", () => {
    const effect = name === "outputSchema" ? "process" : effectOf(name, plain[name], given[name]);
    expect(sessionChange(plain, given)).toBe(effect);
    expect(sessionChange(given, given)).toBe("none");
  });

  it("is passed to a fork if its row says so, and shows in inspect", () => {
    expect(Object.hasOwn(likeOptions(given), name)).toBe(row.forks);
    expect(Object.hasOwn(optionsOf(given), name)).toBe(true);
  });

  it("rejects a spare with another value exactly if it shapes the process", () => {
    const shapes = [plain, given].map(shapeOf);
    const [one, other] = shapes.map((shape) => fingerprintOf(shape, {}));
    if (one === undefined || other === undefined) throw new Error("no fingerprints");
    const fits = differencesOf(one, other).length === 0 && shapes.every((shape) => spareMismatch(shape) === undefined);
    expect(fits).toBe(sessionChange(plain, given) !== "process");
  });
});
