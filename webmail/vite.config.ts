import { defineConfig } from "vite";

// The server puts a fresh nonce in place of this word in each answer (app/web_page.py).
const NONCE = "__NONCE__";
const server = process.env.POSTHOUSE_URL ?? "http://127.0.0.1:8080";
const forwarded = ["/jmap", "/api", "/view", "/image", "/preview", "/attachments", "/calendar", "/.well-known"];

export default defineConfig({
  html: { cspNonce: NONCE },
  build: {
    outDir: process.env.POSTHOUSE_WEBPAGE ?? "dist",
    emptyOutDir: true,
    target: "es2023",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    manifest: "manifest.json",
    // What every view needs is one file: nine small ones took longer than they saved.
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [{ name: "shell", test: /node_modules\/@?preact\b|src\/(ui|i18n|state|jmap|search)\// }],
        },
      },
    },
  },
  server: { proxy: Object.fromEntries(forwarded.map((path) => [path, { target: server, changeOrigin: false }])) },
});
