// Starts Swagger UI on this installation's own document. Nothing is asked of any other host, and a key that is entered
// stays in the page: it is gone when the page is.
window.ui = SwaggerUIBundle({
  url: "/v1/openapi.json",
  dom_id: "#console",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  docExpansion: "list",
  filter: true,
  persistAuthorization: false,
  requestSnippetsEnabled: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
