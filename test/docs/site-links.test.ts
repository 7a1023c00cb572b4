import { expect, test } from "vitest";
import { siteLink, sitePath } from "../../scripts/site/links.ts";
import { repositoryLink } from "../../scripts/site/repository.ts";

test("siteLink: leaves links to pages, pictures, anchors and other sites as they are", () => {
  for (const link of ["pools.md", "../cluster.md#tls", "../pictures/fleet.png", "#names", "https://nodejs.org/"]) {
    expect(siteLink("guide/server.md", link)).toBe(link);
  }
});

test("siteLink: takes the README.md of a folder for its index", () => {
  expect(siteLink("guide/server.md", "README.md")).toBe("index.md");
  expect(siteLink("index.md", "guide/README.md#sessions")).toBe("guide/index.md#sessions");
  expect(sitePath("guide/README.md")).toBe("guide/index.md");
});

test("siteLink: gives files outside of the documentation the address of the repository", () => {
  expect(siteLink("guide/README.md", "../../examples")).toBe(repositoryLink("examples"));
  expect(siteLink("index.md", "../ARCHITECTURE.md#rooms")).toBe(`${repositoryLink("ARCHITECTURE.md")}#rooms`);
});

test("siteLink: refuses a link to a file that does not exist", () => {
  expect(() => siteLink("guide/server.md", "../ARCHITECTURE.md")).toThrow(
    "docs/guide/server.md links to ../ARCHITECTURE.md, but there is no docs/ARCHITECTURE.md",
  );
});
