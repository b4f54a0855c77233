#include "runtime/plan/svg.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace weft {

std::string xml_text(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      default:
        // Control characters are not allowed in XML, not even as entities.
        escaped += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? '?' : c;
    }
  }
  return escaped;
}

std::string svg_number(double number) {
  if (!std::isfinite(number)) return "0";
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", number);
  std::string digits = text;
  while (digits.back() == '0') digits.pop_back();
  if (digits.back() == '.') digits.pop_back();
  return digits == "-0" ? "0" : digits;
}

std::string fitting_text(std::string_view text, double width, double size) {
  const auto room = static_cast<size_t>(std::max(width / (size * 0.56), 0.0));  // of characters of a sans-serif font
  if (text.size() <= room) return std::string(text);
  if (room < 4) return "";
  size_t end = room - 1;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // not within a character
  return std::string(text.substr(0, end)) + "\u2026";
}

namespace {

std::string attribute(std::string_view name, std::string_view value) {
  return " " + std::string(name) + "=\"" + xml_text(value) + "\"";
}

std::string attribute(std::string_view name, double value) { return attribute(name, svg_number(value)); }

}  // namespace

void Svg::shape(const std::string& element, const SvgStyle& style, std::string_view title) {
  content_ += "<" + element + attribute("fill", style.fill.empty() ? "none" : style.fill);
  if (!style.stroke.empty()) content_ += attribute("stroke", style.stroke) + attribute("stroke-width", style.width);
  if (!style.dashes.empty()) content_ += attribute("stroke-dasharray", style.dashes);
  if (style.opacity != 1) content_ += attribute("opacity", style.opacity);
  if (title.empty()) {
    content_ += "/>\n";
    return;
  }
  content_ += "><title>" + xml_text(title) + "</title></" + element.substr(0, element.find(' ')) + ">\n";
}

void Svg::rectangle(double x, double y, double width, double height, const SvgStyle& style, std::string_view title,
                    double radius) {
  shape("rect" + attribute("x", x) + attribute("y", y) + attribute("width", std::max(width, 0.0)) +
            attribute("height", std::max(height, 0.0)) + (radius > 0 ? attribute("rx", radius) : ""),
        style, title);
}

void Svg::circle(double x, double y, double radius, const SvgStyle& style, std::string_view title) {
  shape("circle" + attribute("cx", x) + attribute("cy", y) + attribute("r", radius), style, title);
}

void Svg::line(double x1, double y1, double x2, double y2, const SvgStyle& style, std::string_view title) {
  shape("line" + attribute("x1", x1) + attribute("y1", y1) + attribute("x2", x2) + attribute("y2", y2), style, title);
}

void Svg::path(std::string_view path, const SvgStyle& style, std::string_view title) {
  shape("path" + attribute("d", path), style, title);
}

void Svg::text(double x, double y, std::string_view text, double size, SvgAnchor anchor, std::string_view fill,
               bool bold) {
  content_ += "<text" + attribute("x", x) + attribute("y", y) + attribute("font-size", size) + attribute("fill", fill);
  if (anchor != SvgAnchor::start) content_ += attribute("text-anchor", anchor == SvgAnchor::end ? "end" : "middle");
  if (bold) content_ += attribute("font-weight", "bold");
  content_ += ">" + xml_text(text) + "</text>\n";
}

std::string Svg::picture(double width, double height) const {
  const std::string w = svg_number(width), h = svg_number(height);
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + w + "\" height=\"" + h + "\" viewBox=\"0 0 " + w + " " +
         h + "\" font-family=\"Helvetica, Arial, sans-serif\">\n" + content_ + "</svg>\n";
}

}  // namespace weft
