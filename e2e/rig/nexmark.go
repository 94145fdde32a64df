package rig

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sources"
	"github.com/millrace-io/millrace/sources/generate"
	"github.com/millrace-io/millrace/sources/sourcestest"
)

// WriteNexmark writes the events that the source of pipelines/examples/nexmark.yaml makes as NDJSON,
// in no order.
func WriteNexmark(ctx context.Context, path string, events int64, interval time.Duration) error {
	c := generate.Component()
	cfg := c.Config().(*generate.Config)
	cfg.Kind, cfg.Count, cfg.Start, cfg.Interval, cfg.OutOfOrder = "nexmark", events, "2026-01-01T23:50:00Z", config.Duration(interval), 100
	source, err := c.Open(cfg, sources.Env{Pipeline: "nexmark", Name: "auction_house", Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		return err
	}
	s := sourcestest.New(1)
	if err := source.Run(ctx, s); err != nil {
		return fmt.Errorf("make %d events of NEXMark: %w", events, err)
	}
	return os.WriteFile(path, []byte(strings.Join(s.Data(), "\n")), 0o600)
}

// NexmarkBids is the table function that reads the bids of events that WriteNexmark wrote.
func NexmarkBids(path string) string {
	const bid = `bid: 'STRUCT(auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, dateTime VARCHAR, extra VARCHAR)'`
	return fmt.Sprintf(`(SELECT bid.* EXCLUDE dateTime, bid.dateTime::TIMESTAMP AS dateTime
		FROM read_ndjson('%s', columns = {event_type: 'BIGINT', %s}) WHERE event_type = 2)`, path, bid)
}
