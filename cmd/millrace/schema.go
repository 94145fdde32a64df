package main

import "github.com/millrace-io/millrace/pipelines"

type schemaCommand struct {
	JSON bool `name:"json" help:"Accepted for uniformity; the schema is JSON in any case."`
}

// Run prints the JSON Schema of pipeline files.
func (c *schemaCommand) Run(a *app) error {
	text, err := pipelines.SchemaJSON(components())
	if err == nil {
		_, err = a.stdout.Write(append(text, '\n'))
	}
	return err
}
