// Package contract holds what pghub sends and what the simulated GitHub
// answers to the descriptions that GitHub itself publishes: its REST API
// (OpenAPI), its webhooks (OpenAPI), example payloads, and its GraphQL schema.
//
// The descriptions are fetched by "make contract", checked by hash, and kept
// out of the repository. Tests put Transport under a ghapi.Client, or pass
// webhook payloads to Webhooks; every difference fails the test that caused
// it, unless the table in known.go says that GitHub's description leaves it
// out, and where GitHub says so otherwise.
//
// What is not in the package's tests imports nothing of pghub, so that the
// tests of any other package can use it. See docs/github-contract.md.
package contract
