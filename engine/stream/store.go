package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// read returns the stream's document and its revision.
func read(ctx context.Context, b Backend, name string) (document, uint64, error) {
	value, rev, err := b.Meta().Get(ctx, key(name))
	if err != nil {
		return document{}, 0, err
	}
	d, err := decodeDocument(value)
	if err != nil {
		return d, 0, fmt.Errorf("document %s: %w", key(name), err)
	}
	return d, rev, nil
}

// store changes the document by compare-and-swap.
func store(ctx context.Context, b Backend, name string, d document, rev uint64) (uint64, error) {
	value, err := json.Marshal(d)
	if err != nil {
		return 0, err
	}
	return b.Meta().CAS(ctx, key(name), value, rev)
}

// find reads the stream's document, or creates it. A deletion that was interrupted is finished
// first.
func find(ctx context.Context, b Backend, spec Spec, create, existing bool) (document, error) {
	for {
		d, rev, err := read(ctx, b, spec.Name)
		switch {
		case errors.Is(err, ErrNotFound) && create:
			d := newDocument(spec.ranges(), spec.settings(), spec.now())
			if err := d.Settings.fits(spec.settings()); err != nil {
				return d, err
			}
			d.Tags = spec.Tags
			_, err = store(ctx, b, spec.Name, d, 0)
			if errors.Is(err, ErrConflict) {
				continue
			}
			return d, err
		case err != nil:
			return d, err
		case d.State != Deleting && !existing:
			return d, ErrExists
		case d.State != Deleting:
			return d, nil
		}
		if err := remove(ctx, b, spec.Name, rev); err != nil {
			return d, fmt.Errorf("finish the deletion: %w", err)
		}
	}
}

// Delete removes a stream with all its records. A deletion that a crash interrupts is finished
// by the next Open or Delete of the same name. Error: ErrNotFound.
func Delete(ctx context.Context, b Backend, name string) error {
	err := erase(ctx, b, name)
	if err != nil {
		return fmt.Errorf("delete stream %q: %w", name, err)
	}
	return nil
}

// erase marks the stream first, so that no crash leaves a document that promises records which are
// gone.
func erase(ctx context.Context, b Backend, name string) error {
	for {
		d, rev, err := read(ctx, b, name)
		if err != nil {
			return err
		}
		d.State = Deleting
		rev, err = store(ctx, b, name, d, rev)
		if err == nil {
			err = remove(ctx, b, name, rev)
		}
		if !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

func remove(ctx context.Context, b Backend, name string, rev uint64) error {
	if err := b.DeleteStream(ctx, name); err != nil {
		return err
	}
	return b.Meta().Delete(ctx, key(name), rev)
}
