import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { slug } from "github-slugger";
import { defineConfig } from "vitepress";
import { ROOT } from "../../scripts/guide.ts";
import { checkAnchors } from "../../scripts/site/anchors.ts";
import { siteLink, sitePath } from "../../scripts/site/links.ts";
import { navigation, sidebar } from "../../scripts/site/navigation.ts";
import { writePlainPages } from "../../scripts/site/plain-pages.ts";

const ICON = readFileSync(join(ROOT, "src/page/icon.svg")).toString("base64");

/* The site. The pages are plain Markdown that also works in the repository, so links are made fit here, and not in the pages. */
export default defineConfig({
  title: "Castellan",
  description: "Supervision for Claude Code sessions, in TypeScript",
  lang: "en",
  head: [["link", { rel: "icon", type: "image/svg+xml", href: `data:image/svg+xml;base64,${ICON}` }]],
  outDir: "../site",
  cacheDir: "../node_modules/.cache/vitepress",
  // The index of the search is larger than what Vite expects. It is loaded when somebody searches.
  vite: { build: { chunkSizeWarningLimit: 2_000 } },
  rewrites: (page) => sitePath(page),
  // Keeps the sidebars out of each page.
  metaChunk: true,
  themeConfig: {
    nav: navigation(),
    sidebar: sidebar(),
    search: { provider: "local" },
    outline: { level: [2, 3] },
  },
  markdown: {
    // The repository's pages have the anchors of GitHub.
    anchor: { slugify: slug },
    config: (markdown) => {
      markdown.core.ruler.push("site-links", ({ tokens, env }) => {
        for (const token of tokens.flatMap(({ children }) => children ?? [])) {
          const link = token.type === "link_open" ? token.attrGet("href") : null;
          if (link !== null) token.attrSet("href", siteLink(env.relativePath, link));
        }
      });
    },
  },
  transformHead: ({ pageData, siteData }) => [
    ["link", { rel: "alternate", type: "text/markdown", href: `${siteData.base}${sitePath(pageData.relativePath)}` }],
  ],
  buildEnd: ({ outDir, srcDir, pages, site }) => {
    copyFileSync(join(srcDir, "openapi.json"), join(outDir, "openapi.json"));
    writePlainPages(outDir, pages, site);
    checkAnchors(outDir, site.base);
  },
});
