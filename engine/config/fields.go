package config

import (
	"reflect"
	"strings"
)

// field is one key of a struct.
type field struct {
	name     string
	value    reflect.Value
	required bool
	enum     []string
	min, max string
	// doc names the field for the documentation: package path, type and field.
	doc string
}

// fieldsOf lists the keys of a struct, those of inlined structs in their place.
func fieldsOf(v reflect.Value) []field {
	t := v.Type()
	var fields []field
	for i := range t.NumField() {
		sf := t.Field(i)
		name, option, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		inline := option == "inline" || sf.Anonymous && name == ""
		switch {
		case name == "-" || !sf.IsExported() && !sf.Anonymous:
		case inline && sf.Type.Kind() == reflect.Struct:
			fields = append(fields, fieldsOf(v.Field(i))...)
		case name != "":
			fields = append(fields, field{
				name: name, value: v.Field(i), required: sf.Tag.Get("required") == "true",
				enum: splitList(sf.Tag.Get("enum")), min: sf.Tag.Get("min"), max: sf.Tag.Get("max"),
				doc: t.PkgPath() + "." + typeName(t) + "." + sf.Name,
			})
		}
	}
	return fields
}

// typeName is the name of a type without its type arguments.
func typeName(t reflect.Type) string {
	name, _, _ := strings.Cut(t.Name(), "[")
	return name
}

func splitList(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}
