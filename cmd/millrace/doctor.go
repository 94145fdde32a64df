package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/millrace-io/millrace/engine/api/doctor"
)

type doctorCommand struct {
	Endpoint string `help:"Endpoint that clients are to use; without one, that of AWS_ENDPOINT_URL_KINESIS, AWS_ENDPOINT_URL or the profile." placeholder:"URL"`
	Region   string `help:"Region that clients are told; without one, that of the environment or the profile." placeholder:"REGION"`
	Profile  string `help:"Profile in ~/.aws that clients use." placeholder:"NAME"`
	JSON     bool   `name:"json" help:"Print the findings as JSON."`
}

// Run looks at the settings where SDKs find them, and asks the server.
func (c *doctorCommand) Run(a *app) error {
	o := doctor.Options{Endpoint: c.Endpoint, Region: c.Region, Profile: c.Profile}
	if c.Endpoint == "" && doctor.Endpoint(o) == "" {
		return usageError{errors.New("no setting names an endpoint; give --endpoint URL, as in http://127.0.0.1:4567")}
	}
	ctx, _, release := signals(a)
	defer release()
	report := doctor.Examine(ctx, o)
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.print(a, report); err != nil {
		return err
	}
	if !report.OK {
		return fmt.Errorf("clients with these settings cannot work with %s", report.Endpoint)
	}
	return nil
}

func (c *doctorCommand) print(a *app, report doctor.Report) error {
	if c.JSON {
		return printJSON(a, report)
	}
	tw := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, f := range report.Findings {
		text := f.Message
		if f.Cure != "" {
			text += "; cure: " + f.Cure
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", f.Result, f.Check, text)
	}
	return tw.Flush()
}
