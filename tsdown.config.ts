import { defineConfig, type Rolldown } from "tsdown";
import { bundledLicenses } from "./scripts/bundled-licenses.ts";
import { lineMappings } from "./scripts/line-maps.ts";
import { importedFiles } from "./scripts/package-chunks.ts";
import { firstFile } from "./scripts/page-chunks.ts";
import { pageStyle } from "./scripts/page-style.ts";
import { withoutTemplates } from "./scripts/page-templates.ts";

const licenses: Rolldown.Plugin = {
  name: "licenses",
  async generateBundle(_, bundle) {
    this.emitFile({ type: "asset", fileName: "licenses.txt", source: await bundledLicenses(bundle) });
  },
};

/** The package for Node.js. */
const node = defineConfig({
  entry: {
    index: "src/index.ts",
    "testing/index": "src/testing/index.ts",
    cluster: "src/connect.ts",
    otel: "src/telemetry/otel.ts",
    prometheus: "src/telemetry/prometheus.ts",
    server: "src/server/index.ts",
    client: "src/client/index.ts",
    dashboard: "src/dashboard/index.ts",
    cli: "src/cli/main.ts",
  },
  format: "esm",
  platform: "node",
  // Syntax that an older Node.js can parse, so that it reaches the check that names the required release.
  target: "node18",
  fixedExtension: false,
  dts: true,
  sourcemap: true,
  // Loading the 95 files of zod took a third of `import("castellan")`. The declarations import its types from the dependency.
  deps: { alwaysBundle: ["zod"], onlyBundle: ["zod"], dts: { neverBundle: ["zod"] } },
  plugins: [
    licenses,
    {
      name: "line-maps",
      generateBundle: (_, bundle) => {
        for (const file of Object.values(bundle)) {
          if (file.type !== "asset" || !file.fileName.endsWith(".js.map")) continue;
          const map = JSON.parse(String(file.source));
          file.source = JSON.stringify({ ...map, names: [], mappings: lineMappings(map.mappings) });
        }
      },
    },
  ],
  // Stack traces need only the line mappings: sources would be half of the package. The declarations have the doc comments.
  outputOptions: {
    sourcemapExcludeSources: true,
    comments: { jsdoc: false },
    codeSplitting: { groups: [...importedFiles] },
  },
  // The maps name the sources, so that comments around each module would only take space.
  inputOptions: { experimental: { attachDebugInfo: "none" } },
});

/** What the dashboard serves to browsers: modules with everything they import, so that no user needs a build step. */
export const page = defineConfig({
  entry: { page: "src/page/main.ts" },
  outDir: "dist/page",
  format: "esm",
  platform: "browser",
  target: "es2023",
  fixedExtension: false,
  tsconfig: "src/page/tsconfig.json",
  dts: false,
  sourcemap: false,
  minify: true,
  deps: { alwaysBundle: [/./] },
  outputOptions: {
    comments: { annotation: false, jsdoc: false },
    codeSplitting: { groups: [firstFile] },
  },
  copy: [{ from: "src/page/icon.svg", to: "dist/page" }],
  plugins: [
    licenses,
    {
      name: "page-templates",
      transform(code, id) {
        if (!id.includes("/src/page/")) return undefined;
        if (id.endsWith("/html.ts")) return `export { h as html } from "preact";`;
        return withoutTemplates(code, (text) => this.parse(text, { lang: "ts" }));
      },
    },
    {
      name: "page-style",
      async generateBundle() {
        this.emitFile({ type: "asset", fileName: "page.css", source: await pageStyle() });
      },
    },
  ],
});

export default [node, page];
