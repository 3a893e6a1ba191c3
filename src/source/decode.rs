//! Reads the JSON of the Prometheus API without building it in memory: labels and points go to
//! the caller as they are met.
//!
//! Lenient: unknown fields are passed over, fields come in any order, an instant answer and a
//! range answer are read alike.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::text::{Number, Text};

/// Warnings and infos that are kept of one answer.
const WARNINGS_MAX: usize = 20;

/// Where the rows of an answer go.
pub(super) trait Rows {
    /// A label of the current row.
    fn label(&mut self, name: &str, value: &str);
    /// A point of the current row: Unix seconds and value, which may be NaN or infinite.
    fn point(&mut self, seconds: f64, value: f64);
    /// The current row has native histograms, which are no numbers.
    fn histograms(&mut self) {}
    /// The current row is complete.
    fn end_row(&mut self);
}

/// What an answer says beside its rows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// `success` or `error`.
    pub status: String,
    /// `bad_data`, `execution`, `timeout`, …
    pub error_type: String,
    /// The error's text.
    pub error: String,
    /// The backend's `warnings` and `infos`.
    pub warnings: Vec<String>,
    /// VictoriaMetrics: some storage nodes did not answer.
    pub is_partial: bool,
}

/// Reads one answer; the error says what was found instead, without repeating the body.
pub(super) fn decode(body: &[u8], rows: &mut impl Rows) -> Result<Head, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let head = Answer(rows).deserialize(&mut deserializer);
    head.and_then(|head| deserializer.end().map(|()| head)).map_err(|error| {
        let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
        match first {
            None => "it is empty".to_owned(),
            Some(b'<') => "it is HTML or XML, not JSON".to_owned(),
            Some(_) if error.is_eof() => format!("it ends early, after {} bytes", body.len()),
            Some(_) => format!("it is not the JSON of the Prometheus API: {error}"),
        }
    })
}

/// One nested part of an answer, read straight into the rows.
macro_rules! part {
    ($(#[doc = $doc:literal])* $name:ident gives $value:ty) => {
        $(#[doc = $doc])*
        struct $name<'a, R>(&'a mut R);

        impl<'de, R: Rows> DeserializeSeed<'de> for $name<'_, R> {
            type Value = $value;
            fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<$value, D::Error> {
                from.deserialize_any(self)
            }
        }
    };
}

part!(
    /// The outermost object.
    Answer gives Head
);
part!(
    /// The object of `data`, or null.
    Data gives ()
);
part!(
    /// The list of `result`, or null.
    List gives ()
);
part!(
    /// One row, or a number of a scalar answer, which is passed over.
    Row gives ()
);
part!(
    /// The object of `metric`.
    Metric gives ()
);
part!(
    /// The list of `values`.
    Points gives ()
);
part!(
    /// A pair of time and value.
    Point gives ()
);

#[derive(Deserialize)]
#[serde(field_identifier)]
enum AnswerField {
    #[serde(rename = "status")]
    Status,
    #[serde(rename = "errorType")]
    ErrorType,
    #[serde(rename = "error")]
    Error,
    #[serde(rename = "warnings", alias = "infos")]
    Warnings,
    #[serde(rename = "isPartial")]
    IsPartial,
    #[serde(rename = "data")]
    Data,
    #[serde(other)]
    Other,
}

impl<'de, R: Rows> Visitor<'de> for Answer<'_, R> {
    type Value = Head;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `status` and `data`")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head, A::Error> {
        let mut head = Head::default();
        while let Some(field) = map.next_key()? {
            match field {
                AnswerField::Status => head.status = map.next_value()?,
                AnswerField::ErrorType => head.error_type = map.next_value()?,
                AnswerField::Error => head.error = map.next_value()?,
                AnswerField::Warnings => {
                    let texts: Option<Vec<String>> = map.next_value()?;
                    head.warnings.extend(texts.unwrap_or_default());
                    head.warnings.truncate(WARNINGS_MAX);
                }
                AnswerField::IsPartial => head.is_partial = map.next_value()?,
                AnswerField::Data => map.next_value_seed(Data(&mut *self.0))?,
                AnswerField::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if head.status.is_empty() {
            return Err(A::Error::missing_field("status"));
        }
        Ok(head)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum DataField {
    Result,
    #[serde(other)]
    Other,
}

impl<'de, R: Rows> Visitor<'de> for Data<'_, R> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `resultType` and `result`")
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key()? {
            match field {
                DataField::Result => map.next_value_seed(List(&mut *self.0))?,
                DataField::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

impl<'de, R: Rows> Visitor<'de> for List<'_, R> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while rows.next_element_seed(Row(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum RowField {
    Metric,
    Values,
    Value,
    #[serde(alias = "histograms")]
    Histogram,
    #[serde(other)]
    Other,
}

impl<'de, R: Rows> Visitor<'de> for Row<'_, R> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row with `metric` and `value` or `values`")
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key()? {
            match field {
                RowField::Metric => map.next_value_seed(Metric(&mut *self.0))?,
                RowField::Values => map.next_value_seed(Points(&mut *self.0))?,
                RowField::Value => map.next_value_seed(Point(&mut *self.0))?,
                RowField::Histogram => {
                    map.next_value::<IgnoredAny>()?;
                    self.0.histograms();
                }
                RowField::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        self.0.end_row();
        Ok(())
    }
}

impl<'de, R: Rows> Visitor<'de> for Metric<'_, R> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of labels")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<Text<'_>, Text<'_>>()? {
            self.0.label(&name.0, &value.0);
        }
        Ok(())
    }
}

impl<'de, R: Rows> Visitor<'de> for Points<'_, R> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of points")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut points: A) -> Result<(), A::Error> {
        while points.next_element_seed(Point(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

impl<'de, R: Rows> Visitor<'de> for Point<'_, R> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pair of time and value")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<(), A::Error> {
        let seconds: Option<f64> = pair.next_element()?;
        let value: Option<Number> = pair.next_element()?;
        let (Some(seconds), Some(Number(value))) = (seconds, value) else {
            return Err(A::Error::custom("a point is not a pair of time and value"));
        };
        while pair.next_element::<IgnoredAny>()?.is_some() {}
        self.0.point(seconds, value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    /// Writes down what it is told.
    #[derive(Default)]
    struct Log(String);

    impl Rows for Log {
        fn label(&mut self, name: &str, value: &str) {
            write!(self.0, "{name}={value:?} ").unwrap();
        }
        fn point(&mut self, seconds: f64, value: f64) {
            write!(self.0, "{value}@{seconds} ").unwrap();
        }
        fn histograms(&mut self) {
            self.0.push_str("histograms ");
        }
        fn end_row(&mut self) {
            self.0.push_str("; ");
        }
    }

    fn read(body: &str) -> Result<(Head, String), String> {
        let mut log = Log::default();
        decode(body.as_bytes(), &mut log).map(|head| (head, log.0))
    }

    #[test]
    fn both_kinds_of_answer_are_read_with_fields_in_any_order() {
        let matrix = r#"{"status":"success","isPartial":true,"data":{"resultType":"matrix",
            "result":[{"metric":{"__name__":"m","a":"x\"\u00e9"},"values":[[1.5,"2"],[2,"NaN"]]},
            {"values":[[3,"+Inf"]],"metric":{}}]},"stats":{"seriesFetched":"1"},
            "warnings":["w"],"infos":["i"]}"#;
        let (head, log) = read(matrix).unwrap();
        assert_eq!(log, r#"__name__="m" a="x\"é" 2@1.5 NaN@2 ; inf@3 ; "#);
        assert_eq!((head.status.as_str(), head.is_partial), ("success", true));
        assert_eq!(head.warnings, ["w", "i"]);
        let vector = r#"{"data":{"result":[{"value":[7,"-1e3"],"metric":{"b":""}},
            {"metric":{},"histogram":[1,{"count":"1"}]}],"resultType":"vector"},"status":"success"}"#;
        assert_eq!(read(vector).unwrap().1, "-1000@7 b=\"\" ; histograms ; ");
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[7,"1"]}}"#;
        assert_eq!(read(scalar).unwrap().1, "");
        let error = r#"{"status":"error","errorType":"bad_data","error":"no","data":null}"#;
        let (head, _) = read(error).unwrap();
        assert_eq!((head.error_type.as_str(), head.error.as_str()), ("bad_data", "no"));
    }

    #[test]
    fn what_is_not_an_answer_is_named() {
        for (body, said) in [
            ("", "empty"),
            ("\n<!DOCTYPE html><html>", "HTML"),
            (r#"{"status":"success","data":{"result":[{"metric":{"a"#, "ends early, after 51"),
            ("hello", "not the JSON"),
            ("{}", "missing field `status`"),
            ("[1]", "not the JSON"),
            (r#"{"status":"success","data":{"result":[{"values":[[1]]}]}}"#, "pair"),
            (r#"{"status":"success","data":{"result":[{"values":[[1,"x"]]}]}}"#, "not a number"),
            (r#"{"status":"success"} {}"#, "trailing"),
        ] {
            let error = read(body).unwrap_err();
            assert!(error.contains(said), "{body}: {error}");
        }
        let deep = format!("{{\"status\":{}", "[".repeat(100_000));
        assert!(read(&deep).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&body, &mut Log::default());
        }

        #[test]
        fn no_cut_and_no_changed_byte_panics(at in 0usize..170, byte in any::<u8>(), cut in any::<bool>()) {
            let body = br#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1772331000,"1"],[1772331030.5,"NaN"]]}]},"warnings":["x"],"isPartial":false}"#;
            let mut body = body.to_vec();
            let at = at.min(body.len() - 1);
            if cut {
                body.truncate(at);
                prop_assert!(decode(&body, &mut Log::default()).is_err());
            } else {
                body[at] = byte;
                let _ = decode(&body, &mut Log::default());
            }
        }
    }
}
