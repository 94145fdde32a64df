package pipelines

// Parse is Load for a text.
var Parse = parse
