package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/sources"
)

type source struct {
	cfg Config
	env sources.Env
	// batchSize closes a batch, in bytes.
	batchSize int
}

// Bounded is sources.Source.
func (s *source) Bounded() bool { return !s.cfg.Follow }

// Run is sources.Source.
func (s *source) Run(ctx context.Context, w sources.Writer) error {
	return sources.RunPump(ctx, w, func(ctx context.Context, p *sources.Pump) error {
		r := newReader(ctx, s, w, p)
		if s.cfg.Follow {
			return newFollower(r).run(ctx)
		}
		return r.readAll(ctx)
	})
}

// expand lists the files that paths name, sorted. Without must, a path may name none.
func expand(paths []string, must bool) ([]string, error) {
	var files []string
	for _, path := range paths {
		if _, err := os.Stat(path); err == nil {
			files = append(files, path)
			continue
		}
		matches, err := filepath.Glob(path)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", path, err)
		}
		matches = slices.DeleteFunc(matches, isDir)
		if len(matches) == 0 && must {
			return nil, nothing(path)
		}
		files = append(files, matches...)
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func nothing(path string) error {
	if !strings.ContainsAny(path, "*?[") {
		_, err := os.Stat(path)
		return missing(path, err)
	}
	return fmt.Errorf("no file matches %q; correct paths, or set follow: true to wait for one", path)
}

// readAll reads all files to their ends.
func (r *reader) readAll(ctx context.Context) error {
	files, err := expand(r.cfg.Paths, true)
	if err != nil {
		return err
	}
	for _, path := range files {
		if info, err := os.Stat(path); err == nil {
			r.total += info.Size()
		}
	}
	for _, path := range files {
		if err := r.readFile(ctx, path); err != nil {
			return err
		}
	}
	r.env.Progress(r.total, r.total)
	return nil
}

// readFile reads one file from where the stream has it to its end.
func (r *reader) readFile(ctx context.Context, path string) error {
	c, id, err := r.resume(ctx, path)
	if err != nil {
		return err
	}
	defer c.close()
	r.begin(path, id.producer, c, id.position)
	for limit := id.position; r.win.offset >= limit; { // in steps, for the progress
		limit += 4 * batchSize
		if err := r.pieces(ctx, limit); err != nil {
			return err
		}
		r.env.Progress(r.done+c.in, r.total)
	}
	if err := r.rest(ctx); err != nil {
		return err
	}
	r.done += c.in
	if id.known && r.cut.settled() == id.position {
		return nil
	}
	return r.settle(ctx)
}

// resume opens a file at the place to go on.
func (r *reader) resume(ctx context.Context, path string) (*content, identity, error) {
	c, err := openContent(path, r.cfg.Compression)
	if err != nil {
		return nil, identity{}, err
	}
	own, id, err := r.recognize(c)
	if err == nil {
		err = c.seek(ctx, id.position)
	}
	if err == nil {
		return c, id, nil
	}
	c.close()
	if !errors.Is(err, io.EOF) {
		return nil, identity{}, err
	}
	if id = own; own.known {
		r.env.Log.Warn("file is shorter than what was read of it before; reading it as a new one",
			"file", path, "read", own.position)
		id = r.generation(own.path, own.head, own.generation+1)
		if err := r.pump.Flush(ctx, id.producer, 0); err != nil {
			return nil, identity{}, err
		}
	}
	c, err = openContent(path, r.cfg.Compression)
	return c, id, err
}

// recognize finds what a content was read as: by its own path, or before it was rotated.
func (r *reader) recognize(c *content) (own, id identity, err error) {
	begin, err := c.peek(headSize)
	if err != nil {
		return own, id, err
	}
	path, err := filepath.Abs(c.path)
	if err != nil {
		return own, id, err
	}
	head, _ := headOf(begin, r.cfg.Format)
	own = r.identify(path, head)
	if !own.known && r.cfg.Follow {
		if id, ok := r.rotated(path, head, -1); ok {
			return own, id, nil
		}
	}
	return own, own, nil
}
