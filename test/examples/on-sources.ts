import { registerHooks } from "node:module";

/* A preload for programs of the examples: it resolves the package to its sources. */

const SOURCES: Readonly<Record<string, string>> = {
  castellan: "../../src/index.ts",
  "castellan/dashboard": "../../src/dashboard/index.ts",
  "castellan/prometheus": "../../src/telemetry/prometheus.ts",
  "castellan/testing": "../../src/testing/index.ts",
};

registerHooks({
  resolve: (specifier, context, next) => {
    const source = SOURCES[specifier];
    return next(source === undefined ? specifier : new URL(source, import.meta.url).href, context);
  },
});
