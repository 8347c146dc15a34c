package dataset

import (
	"fmt"
	"reflect"
)

// setter returns what moves the values of one column chunk into the rows from number first on.
func (l leaf) setter(rows reflect.Value) (func(v *values, first int) error, error) {
	typ := l.typ
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch typ.Kind() {
	case reflect.Int32:
		return func(v *values, first int) error { return assign(l, v, v.int32s, rows, first) }, nil
	case reflect.Int64:
		return func(v *values, first int) error { return assign(l, v, v.int64s, rows, first) }, nil
	case reflect.Float32:
		return func(v *values, first int) error { return assign(l, v, v.floats, rows, first) }, nil
	case reflect.Float64:
		return func(v *values, first int) error { return assign(l, v, v.doubles, rows, first) }, nil
	case reflect.Bool:
		return func(v *values, first int) error { return assign(l, v, v.bools, rows, first) }, nil
	case reflect.String:
		return func(v *values, first int) error { return assign(l, v, v.texts, rows, first) }, nil
	}
	return nil, fmt.Errorf("fields of type %s are not supported", l.typ)
}

// assign gives each row its part of the flat values: V, *V, a cut []V, or the field of each element of a list.
func assign[V any](l leaf, v *values, flat []V, rows reflect.Value, first int) error {
	if err := v.fits(len(flat)); err != nil {
		return err
	}
	begin := 0
	for row := range v.rows {
		count := 1
		if v.counts != nil {
			count = int(v.counts[row])
		}
		own := flat[begin : begin+count : begin+count]
		begin += count
		field := rows.Index(first + row).FieldByIndex(l.outer)
		if l.list && l.inner != nil {
			if err := assignElements(l, own, field); err != nil {
				return fmt.Errorf("row %d: %w", first+row, err)
			}
			continue
		}
		switch target := field.Addr().Interface().(type) {
		case *[]V:
			*target = own
		case **V:
			if count > 0 {
				*target = &own[0]
			}
		case *V:
			if count == 0 {
				return fmt.Errorf("row %d is null", first+row)
			}
			*target = own[0]
		default:
			return fmt.Errorf("the file's values are %T, want %s", flat, l.typ)
		}
	}
	return nil
}

// assignElements sets one field of each element of a list of structs; the first column makes the elements.
func assignElements[V any](l leaf, own []V, field reflect.Value) error {
	if field.IsNil() {
		field.Set(reflect.MakeSlice(field.Type(), len(own), len(own)))
	}
	if field.Len() != len(own) {
		return fmt.Errorf("the list has %d elements in one column and %d in another", field.Len(), len(own))
	}
	for i := range own {
		target, ok := field.Index(i).FieldByIndex(l.inner).Addr().Interface().(*V)
		if !ok {
			return fmt.Errorf("the file's values are %T, want %s", own, l.typ)
		}
		*target = own[i]
	}
	return nil
}

// fits checks that the values loaded are of the column's Go type and as many as the rows say.
func (v *values) fits(n int) error {
	want := v.rows
	if v.counts != nil {
		want = 0
		for _, count := range v.counts {
			want += int(count)
		}
	}
	if n != want {
		return fmt.Errorf("has %d values of the wanted type, want %d", n, want)
	}
	return nil
}
